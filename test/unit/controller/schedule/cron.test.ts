import { Cron as Croner } from 'croner'
import t from 'tap'
import { openCron } from '../../../../controller/schedule/cron.ts'

const at = (iso: string) => Date.parse(iso)
const iso = (slots: readonly number[]) => slots.map((ms) => new Date(ms).toISOString().slice(0, 16))
const dayMs = 86_400_000

t.test('a time that the clocks jump over is due when they have jumped', (t) => {
  for (const [zone, day, jump] of [
    ['Europe/Berlin', '2026-03-29', '2026-03-29T01:00'],
    ['America/New_York', '2026-03-08', '2026-03-08T07:00'],
    ['Australia/Lord_Howe', '2026-10-04', '2026-10-03T15:30'],
  ] as const) {
    const from = at(`${day}T00:00Z`) - dayMs
    const slots = iso(openCron('15 2 * * *', zone).slots(from, from + 3 * dayMs))
    t.equal(slots.filter((slot) => slot === jump).length, 1, `${zone}: ${slots.join(' ')}`)
    t.equal(slots.length, 3)
  }
  t.end()
})

t.test('an hour that comes twice: a fixed time once, a repeated one in both', (t) => {
  const from = at('2026-10-24T22:00Z')
  const berlin = (cron: string) => iso(openCron(cron, 'Europe/Berlin').slots(from, from + 6 * 3_600_000))
  t.strictSame(berlin('30 2 * * *'), ['2026-10-25T00:30'])
  t.strictSame(berlin('0,30 2 * * *'), ['2026-10-25T00:00', '2026-10-25T00:30'])
  t.strictSame(berlin('*/30 2 * * *'), [
    '2026-10-25T00:00',
    '2026-10-25T00:30',
    '2026-10-25T01:00',
    '2026-10-25T01:30',
  ])
  t.end()
})

t.test('a year of many schedules in many places is what another library says', (t) => {
  const zones = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe']
  const expressions = [
    '0 3 * * *',
    '30 2 * * *',
    '*/15 * * * *',
    '5 */6 * * *',
    '0 9-17 * * mon-fri',
    '0 0 1 * *',
    '45 23 L * *',
    '10 1 * * 1#1',
    '59 1 29 2 *',
    '0 12 1,15 jan,jun *',
  ]
  const from = at('2026-01-01T00:00Z')
  const until = from + 366 * dayMs
  for (const timezone of zones)
    for (const expression of expressions) {
      const own = openCron(expression, timezone).slots(from, until)
      const other = new Croner(expression, { timezone, fixedTimeRule: 'no-wildcard' })
      // What it does with the hour that there is not is told by the test above.
      const theirs = other.enumerate(new Date(from))
      const expected: number[] = []
      for (const date of theirs) {
        if (date.getTime() > until) break
        expected.push(date.getTime())
      }
      t.strictSame(iso(own), iso(expected), `${expression} in ${timezone}: ${own.length} slots`)
    }
  t.end()
})

t.test('next is the beginning of what slots says, also where there is nothing for years', (t) => {
  const leap = openCron('0 0 29 2 *', 'UTC')
  t.strictSame(iso(leap.next(at('2026-11-22T00:00Z'), 2)), ['2028-02-29T00:00', '2032-02-29T00:00'])
  t.end()
})

t.test('what is no schedule says why', (t) => {
  const wrong = (cron: string, zone: string, message: RegExp) =>
    t.throws(() => openCron(cron, zone), { code: 'E_SCHEDULE_INVALID', message })
  wrong('61 2 * * *', 'UTC', /61/)
  wrong('* * * * * *', 'UTC', /not five fields/)
  wrong('@daily', 'UTC', /not five fields/)
  wrong('0 0 13 * 5', 'UTC', /either, others for both/)
  wrong('0 0 31 2 *', 'UTC', /31 2 is an impossible day/)
  wrong('0 0 * * *', 'Mars/Olympus', /no time zone/)
  t.end()
})
