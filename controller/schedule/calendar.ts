import ICAL from 'ical.js'
import { Temporal } from 'temporal-polyfill'
import { DeployError } from '../../shared/errors.ts'
import type { FreezePeriod } from '../../shared/formats/freeze.ts'

const maxBytes = 1024 * 1024
const most = 400
const perEvent = 1000
const maxReason = 128
const mostEvents = 2000
const hugeNumber = /^(?:DURATION|RRULE|EXRULE)[^\r\n]*\d{5}/im

/** Within which time, in milliseconds, and where days are days. */
export type Span = { fromMs: number; untilMs: number; timeZone: string }

/**
 * The times of a calendar's events, those that come again included, within the given time. Days without a
 * time are days of `timeZone`, as are times without a place.
 * @param text an iCalendar file (RFC 5545)
 * @throws DeployError E_CALENDAR
 */
export function periodsOf(text: string, file: string, span: Span): FreezePeriod[] {
  const refuse = (why: string) => new DeployError('E_CALENDAR', { file, why })
  if (text.length > maxBytes) throw refuse('it is too large')
  try {
    return read(text, span, refuse)
  } catch (error) {
    if (error instanceof DeployError) throw error
    // ical.js says what it cannot read when it comes to it.
    throw refuse(error instanceof Error ? error.message : String(error))
  }
}

function read(
  text: string,
  { fromMs, untilMs, timeZone }: Span,
  refuse: (why: string) => DeployError,
): FreezePeriod[] {
  // ical.js counts its way through them, one by one.
  if (hugeNumber.test(text.replaceAll(/\r?\n[ \t]|UNTIL=\d{8}(?:T\d{6}Z?)?/gi, '')))
    throw refuse('a duration or a rule has a huge number')
  const calendar = new ICAL.Component(ICAL.parse(text) as unknown[])
  if (calendar.name !== 'vcalendar') throw refuse('it is no calendar')
  for (const zone of calendar.getAllSubcomponents('vtimezone')) ICAL.TimezoneService.register(zone)
  const found: FreezePeriod[] = []
  const events = calendar.getAllSubcomponents('vevent')
  if (events.length > mostEvents)
    throw refuse(`it has ${events.length} events, and ${mostEvents} are the most`)
  for (const component of events) {
    const event = new ICAL.Event(component)
    if (event.isRecurrenceException()) continue
    for (const { start, end } of occurrences(event, untilMs, refuse)) {
      const [from, until] = [instant(start, timeZone), instant(end, timeZone)]
      if (until <= fromMs || from >= untilMs || until <= from) continue
      found.push({
        from: new Date(from).toISOString(),
        until: new Date(until).toISOString(),
        reason: (event.summary || 'a day of the calendar').slice(0, maxReason),
      })
    }
  }
  if (found.length === 0) throw refuse('it has no event in the coming time')
  if (found.length > most)
    throw refuse(`it has ${found.length} events in the coming time, and ${most} are the most`)
  return found.toSorted((a, b) => (a.from < b.from ? -1 : 1))
}

type Occurrence = { start: ICAL.Time; end: ICAL.Time }

function* occurrences(
  event: ICAL.Event,
  untilMs: number,
  refuse: (why: string) => DeployError,
): Generator<Occurrence, void> {
  if (!event.startDate) throw refuse(`the event "${event.summary}" has no beginning`)
  if (!event.isRecurring()) {
    yield { start: event.startDate, end: event.endDate }
    return
  }
  const iterator = event.iterator()
  for (let n = 0; n < perEvent; n++) {
    const next = iterator.next()
    if (!next || next.toJSDate().getTime() > untilMs) return
    const { startDate: start, endDate: end } = event.getOccurrenceDetails(next)
    yield { start, end }
  }
}

/** Milliseconds. Where the calendar names no place, it is a time on the wall of `timeZone`. */
function instant(time: ICAL.Time, timeZone: string): number {
  const isPlaced = !time.isDate && time.zone !== ICAL.Timezone.localTimezone
  if (isPlaced) return time.toUnixTime() * 1000
  const pad = (value: number) => String(value).padStart(2, '0')
  const wall = `${time.year}-${pad(time.month)}-${pad(time.day)}T${pad(time.hour)}:${pad(time.minute)}`
  return Temporal.PlainDateTime.from(wall).toZonedDateTime(timeZone).epochMilliseconds
}
