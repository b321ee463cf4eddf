import t from 'tap'
import { periodsOf } from '../../../../controller/schedule/calendar.ts'

const span = {
  fromMs: Date.parse('2026-11-22T00:00Z'),
  untilMs: Date.parse('2027-11-22T00:00Z'),
  timeZone: 'Europe/Berlin',
}
const calendar = (...lines: string[]) =>
  ['BEGIN:VCALENDAR', 'VERSION:2.0', ...lines, 'END:VCALENDAR', ''].join('\r\n')
const event = (...lines: string[]) => ['BEGIN:VEVENT', 'UID:1', ...lines, 'END:VEVENT']

t.test('days, times, and what comes again, in the place that is meant', (t) => {
  const found = periodsOf(
    calendar(
      ...event('DTSTART;VALUE=DATE:20261225', 'DTEND;VALUE=DATE:20261227', 'SUMMARY:Christmas'),
      ...event('DTSTART:20261201T220000Z', 'DTEND:20261202T020000Z', 'SUMMARY:sale'),
      ...event('DTSTART;VALUE=DATE:20200101', 'RRULE:FREQ=YEARLY', 'SUMMARY:New Year'),
      ...event('DTSTART;VALUE=DATE:20200606', 'SUMMARY:long ago'),
    ),
    'a.ics',
    span,
  )
  t.strictSame(found, [
    { from: '2026-12-01T22:00:00.000Z', until: '2026-12-02T02:00:00.000Z', reason: 'sale' },
    { from: '2026-12-24T23:00:00.000Z', until: '2026-12-26T23:00:00.000Z', reason: 'Christmas' },
    { from: '2026-12-31T23:00:00.000Z', until: '2027-01-01T23:00:00.000Z', reason: 'New Year' },
  ])
  t.end()
})

t.test('what is no calendar, or has nothing to say, is refused in words', (t) => {
  const refused = (text: string, message: RegExp) =>
    t.throws(() => periodsOf(text, 'a.ics', span), { code: 'E_CALENDAR', message })
  refused('hello', /a\.ics/)
  refused(calendar(), /no event in the coming time/)
  refused('BEGIN:VTODO\r\nEND:VTODO\r\n', /no calendar/)
  refused('x'.repeat(2 ** 20 + 1), /too large/)
  const minutely = ['DTSTART:20261122T000000Z', 'DTEND:20261122T000030Z', 'RRULE:FREQ=MINUTELY']
  refused(calendar(...event(...minutely)), /1000 events/)
  t.end()
})
