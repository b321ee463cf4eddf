import { uptime } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { DeployError } from '../../../shared/errors.ts'
import { publicSockets } from '../../../shared/formats/sockets.ts'
import { unitNames } from '../../../shared/install/unit-names.ts'

import { hasProgram } from '../find-program.ts'
import type {
  Address,
  CommandResult,
  InstanceSpec,
  InstanceStatus,
  ServiceManager,
  Slot,
  Stopped,
} from '../manager.ts'
import { checkUpSystemd } from './check-up.ts'
import { checkRegistration, readRegistration } from './registrations.ts'
import { Slots } from './slots.ts'
import { changeUnit, describeEnd, showUnits, type UnitState } from './systemctl.ts'
import { followUnits, tailUnits } from './unit-log.ts'

const slotNames: readonly Slot[] = ['a', 'b']
const probeUnits = 16
const probeLogLines = 10
/** The journal hears of a line a moment after it was written. */
const lastLinesMs = 300

export type SystemdOptions = {
  /** The agent's directory. */
  dir: string
  /** Where root wrote which services there are. */
  settings: string
  /** Where services find their programs, as the units say. */
  path: string
}

/** systemd as the manager: units that root made once, started and stopped by leave of polkit. */
export function systemdManager({ dir, settings, path }: SystemdOptions): ServiceManager {
  const slots = new Slots(dir)
  const units = (service: string) => slotNames.map((slot) => unitNames(service).slot(slot))
  let probes = 0

  const stop = async (service: string, slot: Slot): Promise<Stopped> => {
    const unit = unitNames(service).slot(slot)
    await changeUnit('stop', unit)
    // Some end with another status when they are told to; it was we who ended them all the same.
    const [state] = await showUnits([unit])
    await forget(unit, state)
    return { killed: state?.result === 'timeout' }
  }
  const start = async (spec: InstanceSpec, isHeld = false) => {
    const unit = unitNames(spec.service).slot(spec.slot)
    const [state] = await showUnits([unit])
    const isSame = JSON.stringify(slots.get(spec.service, spec.slot)) === JSON.stringify(spec)
    if (state && isRunning(state) && isSame) return
    // A slot is written while nothing runs in it, so that its file says what runs.
    if (state && isRunning(state)) await stop(spec.service, spec.slot)
    slots.put(spec, isHeld)
    await forget(unit, state)
    await changeUnit('start', unit)
  }

  return {
    admit: (service) => void readRegistration(settings, service),
    check(spec) {
      checkRegistration(readRegistration(settings, spec.service), spec)
      const [program = ''] = spec.argv
      if (!hasProgram(program, spec.cwd, path))
        throw new DeployError('E_CHECK_FAILED', { why: `there is no program "${program}"` })
    },
    start,
    retarget: async (spec) => slots.put(spec, false),
    letTakeTraffic: async (service, slot) => slots.let(service, slot),
    stop,
    // As the socket unit says it.
    privateSocket: (service, slot) => join(dir, 'private', `${service}.${slot}`),
    async status(service) {
      const states = await showUnits(units(service))
      const found = states.flatMap((state, index): InstanceStatus[] => {
        const slot = slotNames[index]
        const spec = slot && slots.get(service, slot)
        return spec && state.active !== 'inactive' ? [describe(slot, spec.release, state)] : []
      })
      return { instances: found, addresses: addressesOf(settings, service) }
    },
    checkUp: (services) => checkUpSystemd(settings, join(dir, 'receipt_key'), services),
    settle: async (service, slot) => slots.settle(service, slot),
    runCommand(spec, argv, signal, onLine) {
      probes = (probes + 1) % probeUnits
      slots.putProbe(spec, probes, argv)
      return runProbe(unitNames(spec.service).probe(probes), signal, onLine)
    },
    tail: (service, lines) => tailUnits(units(service), lines),
    follow: (service, lines, signal) => followUnits(units(service), lines, signal),
  }
}

/** A failure that was dealt with is none that `systemctl --failed` should show. */
async function forget(unit: string, state: UnitState | undefined): Promise<void> {
  if (state?.active === 'failed') await changeUnit('reset-failed', unit)
}

const isRunning = ({ active }: UnitState) => active !== 'inactive' && active !== 'failed'

function describe(slot: Slot, release: string, unit: UnitState): InstanceStatus {
  const { active, sub, mainPid, restarts, activeSinceUs } = unit
  const isStarting = active === 'activating' && sub !== 'auto-restart'
  const isUp = active === 'active' || isStarting
  const state = isUp ? 'running' : active === 'deactivating' ? 'stopping' : 'backoff'
  // After it was started again, systemd no longer tells how it ended before.
  const lastEnd = isUp ? (restarts > 0 ? 'and was started again' : null) : describeEnd(unit)
  const upMs = isUp ? Math.max(0, uptime() * 1000 - activeSinceUs / 1000) : 0
  return { slot, release, state, pid: mainPid || null, restarts, lastEnd, upMs }
}

/** Where the registered sockets listen; systemd holds them whether or not anything runs. */
function addressesOf(settings: string, service: string): Record<string, Address> {
  const { sockets } = readRegistration(settings, service)
  return Object.fromEntries(
    publicSockets(sockets).map(({ name, host = '0.0.0.0', port = 0, path }) => [
      name,
      path === undefined ? { host, port } : { path },
    ]),
  )
}

/** What a unit writes from now on. */
async function tellLines(unit: string, onLine: (line: string) => void, signal: AbortSignal): Promise<void> {
  for await (const { stream, line } of followUnits([unit], 0, signal))
    if (stream !== 'supervisor') onLine(line)
}

async function runProbe(
  unit: string,
  signal: AbortSignal,
  onLine?: (line: string) => void,
): Promise<CommandResult> {
  const cancel = () => void changeUnit('stop', unit).catch(() => {})
  signal.addEventListener('abort', cancel)
  const over = new AbortController()
  const told = onLine ? tellLines(unit, onLine, over.signal) : Promise.resolve()
  try {
    // It failed or it did not; which of them, its state tells.
    await changeUnit('start', unit).catch(() => {})
    const [state] = await showUnits([unit])
    await forget(unit, state)
    const status = !state ? '?' : state.result === 'success' ? '0' : describeEnd(state)
    const log = status === '0' ? [] : await tailUnits([unit], probeLogLines)
    if (onLine) await delay(lastLinesMs)
    over.abort()
    await told
    return { status, output: log.map(({ line }) => line).join('\n') }
  } finally {
    signal.removeEventListener('abort', cancel)
  }
}
