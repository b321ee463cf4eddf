import type { ScheduleRun } from '../history/schedules.ts'
import { Notifier } from '../notify/notifier.ts'
import type { Schedule } from '../schedule/schedule-schema.ts'
import type { Site } from './site.ts'

/** Tells others of a run that came to nothing; what it changed is told as a rollout. */
export async function tellRun(site: Site, spec: Schedule, run: ScheduleRun): Promise<void> {
  if (run.state !== 'failed' && run.state !== 'missed') return
  const project = await site.projects.get(spec.service).catch(() => null)
  if (!project) return
  const specs = project.config.notify ?? []
  const { dir } = project
  const notifier = new Notifier({ specs, dir, env: site.env, onProblem: site.say })
  notifier.tellRun({ ...run, state: run.state }, spec, site.url && `${site.url}/schedules`)
  await notifier.flush()
}
