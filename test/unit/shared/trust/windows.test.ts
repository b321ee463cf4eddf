import fc from 'fast-check'
import t from 'tap'
import { weekdays } from '../../../../shared/formats/windows.ts'
import { isOpen, isWithin, parseWindow, windowText } from '../../../../shared/trust/windows.decide.ts'

const windowOf = (text: string) => {
  const window = parseWindow(text)
  if (!window) throw new Error(text)
  return window
}

t.test('on the wall of its place, on both sides of midnight and of daylight saving', (t) => {
  const night = [windowOf('mon-fri 22:00-04:00 Europe/Berlin')]
  // 2026-11-23 is a Monday; Berlin is an hour ahead of UTC.
  t.notOk(isWithin(night, '2026-11-23T20:59:59Z'))
  t.ok(isWithin(night, '2026-11-23T21:00:00Z'))
  t.ok(isWithin(night, '2026-11-24T02:59:59Z'))
  t.notOk(isWithin(night, '2026-11-24T03:00:00Z'))
  t.notOk(isWithin(night, '2026-11-23T02:00:00Z'), 'Sunday night is not Monday')
  t.ok(isWithin(night, '2026-11-28T02:00:00Z'), 'Friday night goes on into Saturday')
  t.notOk(isWithin(night, '2026-11-28T22:00:00Z'))
  const summer = [windowOf('daily 09:00-17:00 Europe/Berlin')]
  t.ok(isWithin(summer, '2026-07-01T07:00:00Z'))
  t.notOk(isWithin(summer, '2026-12-01T07:00:00Z'))
  t.end()
})

t.test('one of a policy is enough, and each policy has to agree', (t) => {
  const day = windowOf('mon-fri 09:00-17:00 UTC')
  const saturday = windowOf('sat 08:00-12:00 UTC')
  const noon = windowOf('daily 12:00-13:00 UTC')
  t.ok(isOpen([[day, saturday]], '2026-11-28T09:00:00Z'))
  t.notOk(isOpen([[day, saturday], [noon]], '2026-11-23T10:00:00Z'))
  t.ok(isOpen([[day, saturday], [noon]], '2026-11-23T12:30:00Z'))
  t.ok(isOpen([], '2026-11-23T12:30:00Z'))
  t.notOk(isWithin([{ ...day, timeZone: 'Mars/Olympus' }], '2026-11-23T12:30:00Z'))
  t.end()
})

t.test('as people write it, there and back', (t) => {
  t.equal(windowText(windowOf('fri-mon 22:00-04:00 UTC')), 'mon,fri,sat,sun 22:00-04:00 UTC')
  t.equal(windowText(windowOf('daily 00:00-00:00 UTC')), 'mon-sun 00:00-00:00 UTC')
  for (const wrong of ['', 'mon 9:00-17:00 UTC', 'someday 09:00-17:00 UTC', 'mon 09:00-17:00'])
    t.equal(parseWindow(wrong), null, wrong)
  const clock = fc.tuple(fc.nat(23), fc.nat(59)).map((at) => at.map((n) => `${n}`.padStart(2, '0')).join(':'))
  fc.assert(
    fc.property(fc.subarray([...weekdays], { minLength: 1 }), clock, clock, (days, from, to) => {
      const window = { days, from, to, timeZone: 'Europe/Berlin' }
      t.strictSame(parseWindow(windowText(window)), window)
    }),
    { numRuns: 50 },
  )
  t.end()
})
