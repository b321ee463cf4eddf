import { weekdays, type TimeWindow, type Weekday } from '../formats/windows.ts'

const isWeekday = (text: string): text is Weekday => (weekdays as readonly string[]).includes(text)

/** What the clock on the wall of a place shows. */
function wallOf(timeZone: string, at: Date): { day: Weekday; time: string } | null {
  try {
    const format = new Intl.DateTimeFormat('en-GB', {
      timeZone,
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    })
    const parts = new Map(format.formatToParts(at).map(({ type, value }) => [type, value]))
    const day = parts.get('weekday')?.toLowerCase() ?? ''
    return isWeekday(day) ? { day, time: `${parts.get('hour')}:${parts.get('minute')}` } : null
  } catch {
    return null
  }
}

/** Whether an instant lies in one of the windows. A time zone that this machine does not know has none. */
export function isWithin(windows: readonly TimeWindow[], iso: string): boolean {
  const at = new Date(iso)
  return windows.some(({ days, from, to, timeZone }) => {
    const wall = wallOf(timeZone, at)
    if (wall === null) return false
    const { day, time } = wall
    const dayBefore = weekdays[(weekdays.indexOf(day) + 6) % 7] ?? day
    if (from < to) return days.includes(day) && from <= time && time < to
    return (days.includes(day) && from <= time) || (days.includes(dayBefore) && time < to)
  })
}

/** Whether a policy's time is now; each of several has to agree. */
export const isOpen = (policies: readonly (readonly TimeWindow[])[], iso: string): boolean =>
  policies.every((windows) => isWithin(windows, iso))

/** As people write it: `mon-fri 22:00-04:00 Europe/Berlin`. */
export function windowText({ days, from, to, timeZone }: TimeWindow): string {
  const at = days.map((day) => weekdays.indexOf(day)).toSorted((a, b) => a - b)
  const [first = 0] = at
  const last = at.at(-1) ?? first
  const isRange = at.length > 2 && last - first === at.length - 1
  const named = isRange
    ? `${weekdays[first]}-${weekdays[last]}`
    : at.map((index) => weekdays[index]).join(',')
  return `${named} ${from}-${to} ${timeZone}`
}

/** The same back; null for what is none. Whether the place exists is for others to say. */
export function parseWindow(text: string): TimeWindow | null {
  const found = /^(\S+) (\d\d:\d\d)-(\d\d:\d\d) (\S+)$/.exec(text.trim().replaceAll(/\s+/g, ' '))
  const [, named = '', from = '', to = '', timeZone = ''] = found ?? []
  const days = named.split(',').flatMap((part) => daysOf(part.toLowerCase()))
  if (!found || days.length === 0 || days.includes(null)) return null
  return { days: weekdays.filter((day) => days.includes(day)), from, to, timeZone }
}

function daysOf(part: string): (Weekday | null)[] {
  if (part === 'daily') return [...weekdays]
  const [first = '', last = first] = part.split('-')
  if (!isWeekday(first) || !isWeekday(last)) return [null]
  const [from, to] = [weekdays.indexOf(first), weekdays.indexOf(last)]
  return from <= to ? weekdays.slice(from, to + 1) : [...weekdays.slice(from), ...weekdays.slice(0, to + 1)]
}
