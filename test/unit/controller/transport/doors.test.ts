import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { atDoor } from '../../../../controller/transport/doors.ts'

t.test('no more knock at one door at once than an sshd takes; other doors do not wait', async (t) => {
  const most = new Map<string, number>()
  const now = new Map<string, number>()
  const knock = (door: string) => async () => {
    const count = (now.get(door) ?? 0) + 1
    now.set(door, count)
    most.set(door, Math.max(most.get(door) ?? 0, count))
    await delay(5)
    now.set(door, (now.get(door) ?? 0) - 1)
    return door
  }
  const all = Array.from({ length: 40 }, (_, n) => (n % 2 === 0 ? 'bastion' : `10.0.0.${n}:22`))
  const opened = await Promise.all(all.map((door) => atDoor(door, knock(door))))
  t.strictSame(opened, all)
  t.ok((most.get('bastion') ?? 0) <= 8, `${most.get('bastion')} at once`)
})

t.test('one that fails opens the way for the next', async (t) => {
  const failing = Array.from({ length: 12 }, () => atDoor('broken', () => Promise.reject(new Error('no'))))
  const ended = await Promise.allSettled(failing)
  t.ok(ended.every(({ status }) => status === 'rejected'))
  t.equal(await atDoor('broken', async () => 'in'), 'in')
})
