import type { Command } from '../cli/command.ts'
import { catchUpCommand } from './catch-up.ts'
import { buildCommand } from './build.ts'
import { approveCommand } from './approve.ts'
import { completionCommand } from './completion.ts'
import { controllerCommand } from './controller.ts'
import { doctorCommand } from './doctor.ts'
import { freezeCommand, unfreezeCommand } from './freeze.ts'
import { historyCommand } from './history.ts'
import { hostCommand } from './host.ts'
import { initCommand } from './init.ts'
import { logsCommand } from './logs.ts'
import { openCommand } from './open.ts'
import { planCommand } from './plan.ts'
import { publishCommand } from './publish.ts'
import { pushCommand } from './push.ts'
import { rollbackCommand } from './rollback.ts'
import { rolloutCommand } from './rollout.ts'
import { scheduleCommand } from './schedule.ts'
import { serveCommand } from './serve.ts'
import { serviceCommand } from './service.ts'
import { statusCommand } from './status.ts'
import { tokenCommand } from './token.ts'
import { trustCommand } from './trust.ts'
import { verifyCommand } from './verify.ts'
import { whyCommand } from './why.ts'
import { watchCommand } from './watch.ts'

/** In the order in which one meets them; help shows them so. */
export const commands: readonly Command[] = [
  initCommand,
  hostCommand,
  serviceCommand,
  planCommand,
  pushCommand,
  rolloutCommand,
  whyCommand,
  catchUpCommand,
  watchCommand,
  statusCommand,
  historyCommand,
  rollbackCommand,
  freezeCommand,
  unfreezeCommand,
  logsCommand,
  serveCommand,
  controllerCommand,
  publishCommand,
  scheduleCommand,
  tokenCommand,
  openCommand,
  buildCommand,
  verifyCommand,
  approveCommand,
  trustCommand,
  doctorCommand,
  completionCommand,
]
