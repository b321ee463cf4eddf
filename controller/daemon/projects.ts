import { existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DeployError } from '../../shared/errors.ts'
import { configName, findConfig, loadProject, type Project } from '../config/load.ts'

export const projectsDir = (dataDir: string): string => join(dataDir, 'projects')

/** The projects that a controller looks after: directories with a deploy.yaml, read again when it changes. */
export class Projects {
  readonly #fixed: readonly string[]
  readonly #dataDir: string
  readonly #known = new Map<string, { stamp: string; project: Project }>()

  /** @param fixed directories beside those that were published to it */
  constructor(fixed: readonly string[], dataDir: string) {
    this.#fixed = fixed
    this.#dataDir = dataDir
  }

  /** In the order of their services' names; one that cannot be read is told by its error. */
  async all(): Promise<{ projects: Project[]; failed: { dir: string; error: unknown }[] }> {
    const projects = new Map<string, Project>()
    const failed: { dir: string; error: unknown }[] = []
    for (const file of await this.#files())
      try {
        const project = await this.#read(file)
        if (!projects.has(project.config.service)) projects.set(project.config.service, project)
      } catch (error) {
        failed.push({ dir: dirname(file), error })
      }
    const sorted = [...projects.values()].toSorted((a, b) => a.config.service.localeCompare(b.config.service))
    return { projects: sorted, failed }
  }

  /** @throws DeployError E_SERVICE_UNKNOWN */
  async get(service: string): Promise<Project> {
    const { projects } = await this.all()
    const found = projects.find(({ config }) => config.service === service)
    if (found) return found
    const known = projects.map(({ config }) => config.service).join(', ')
    throw new DeployError('E_SERVICE_UNKNOWN', { service, known: known || 'none yet' })
  }

  async #files(): Promise<string[]> {
    const own = projectsDir(this.#dataDir)
    const published = existsSync(own) ? readdirSync(own).map((name) => join(own, name, configName)) : []
    const fixed = await Promise.all(this.#fixed.map((dir) => findConfig(dir)))
    return [...fixed.filter((file) => file !== null), ...published.filter((file) => existsSync(file))]
  }

  async #read(file: string): Promise<Project> {
    const { mtimeMs, size, ino } = statSync(file)
    const stamp = `${mtimeMs} ${size} ${ino}`
    const known = this.#known.get(file)
    if (known?.stamp === stamp) return known.project
    const project = await loadProject(dirname(file))
    this.#known.set(file, { stamp, project })
    return project
  }
}
