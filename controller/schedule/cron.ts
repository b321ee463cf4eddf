import cron from 'node-cron'
import { Temporal } from 'temporal-polyfill'
import { DeployError } from '../../shared/errors.ts'

/** When something is due, in the time of a place. */
export type Cron = {
  expression: string
  timeZone: string
  /** Instants in order, in milliseconds, after the first and up to the second. */
  slots(afterMs: number, untilMs: number): number[]
  /** The next ones; fewer when there are no more within ten years. */
  next(afterMs: number, count: number): number[]
}

const dayMs = 86_400_000
const farMs = 10 * 366 * dayMs
const fields = 5

/**
 * Five fields as cron has them, with names, steps, `L` and `5#2`. Read by node-cron; the days of daylight
 * saving are ours, since node-cron leaves out what falls into the hour that there is not.
 *
 * A time that the clocks jump over is due when they have jumped. Of an hour that comes twice, a fixed time is
 * due in the first; with `*` or a step in minutes or hours, in both.
 * @throws DeployError E_SCHEDULE_INVALID
 */
export function openCron(expression: string, timeZone: string): Cron {
  const parts = expression.trim().split(/\s+/)
  if (parts.length !== fields || expression.startsWith('@'))
    throw invalid(`"${expression}" is not five fields: minute, hour, day of month, month, day of week`)
  // node-cron writes out ranges before it looks whether they make sense.
  if (/\d{3}/.test(expression)) throw invalid(`"${expression}" has a number of three digits`)
  const checked = cron.validateDetailed(expression)
  if (!checked.valid || !checked.fields)
    throw invalid(checked.errors.map(({ message }) => message).join('; '))
  const [minutes = '', hours = '', days = '', , weekdays = ''] = parts
  if (!days.startsWith('*') && !weekdays.startsWith('*'))
    throw invalid(
      'both a day of the month and a day of the week: some programs take that for either, others for both; write two schedules',
    )
  checkZone(timeZone)
  const isRepeated = /[*/]/.test(`${minutes}${hours}`)
  const { hour, minute } = checked.fields
  const times = hour.flatMap((h) => minute.map((m) => ({ hour: h, minute: m })))
  const [first = { hour: 0, minute: 0 }] = times
  // Its days are asked in UTC, where each has all its hours.
  const days24 = cron.createTask(expression, () => {}, { timezone: 'Etc/UTC' })
  // It keeps every task in a list of its own otherwise; what a task knows stays of use.
  void days24.destroy()
  const isDue = ({ year, month, day }: Temporal.PlainDate) =>
    days24.match(new Date(Date.UTC(year, month - 1, day, first.hour, first.minute)))

  function slotsOf(day: Temporal.PlainDate): number[] {
    if (!isDue(day)) return []
    return times.flatMap((time) =>
      instantsOf(day.toPlainDateTime(Temporal.PlainTime.from(time)), timeZone, isRepeated),
    )
  }

  function* all(afterMs: number, untilMs: number): Iterable<number> {
    let day = dateAt(afterMs, timeZone).subtract({ days: 1 })
    const last = dateAt(untilMs, timeZone).add({ days: 1 })
    let before = afterMs
    for (; Temporal.PlainDate.compare(day, last) <= 0; day = day.add({ days: 1 }))
      for (const slot of slotsOf(day).toSorted((a, b) => a - b)) {
        if (slot <= before) continue
        if (slot > untilMs) return
        before = slot
        yield slot
      }
  }

  return {
    expression,
    timeZone,
    slots: (afterMs, untilMs) => [...all(afterMs, untilMs)],
    next(afterMs, count) {
      const found: number[] = []
      for (const slot of all(afterMs, afterMs + farMs)) if (found.push(slot) >= count) break
      return found
    },
  }
}

const invalid = (why: string) => new DeployError('E_SCHEDULE_INVALID', { why })

const dateAt = (ms: number, timeZone: string) =>
  Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(timeZone).toPlainDate()

/** A time on the wall as instants: mostly one. */
function instantsOf(time: Temporal.PlainDateTime, timeZone: string, isRepeated: boolean): number[] {
  const earlier = time.toZonedDateTime(timeZone, { disambiguation: 'earlier' })
  if (!earlier.toPlainDateTime().equals(time)) {
    const jump = earlier.getTimeZoneTransition('next')
    return jump ? [jump.epochMilliseconds] : []
  }
  const later = time.toZonedDateTime(timeZone, { disambiguation: 'later' })
  const both = isRepeated && !later.equals(earlier)
  return both ? [earlier.epochMilliseconds, later.epochMilliseconds] : [earlier.epochMilliseconds]
}

function checkZone(timeZone: string) {
  try {
    Intl.DateTimeFormat('en', { timeZone })
  } catch {
    throw invalid(`"${timeZone}" is no time zone; one is Europe/Berlin, or UTC`)
  }
}
