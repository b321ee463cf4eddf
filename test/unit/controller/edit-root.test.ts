import t from 'tap'
import { recovered, withKey, withoutKeys } from '../../../controller/identity/edit-root.decide.ts'
import { fingerprintOf, publicKeyBlob } from '../../../shared/sshsig/public-key.ts'
import { keyOf, makePeople, rootWith } from '../../rig/people.ts'

const { ann, ben, fresh } = await makePeople('ann', 'ben', 'fresh')
const fingerprint = (line: string) => fingerprintOf(publicKeyBlob(line))
const login = ben.signer.publicKey

t.test('what was lost signs no more and logs in no more', (t) => {
  const lost = keyOf(ann, ['root', 'release', 'order'], { logins: [login] })
  const root = rootWith([lost, keyOf(ben, ['release'])])
  const after = recovered(root, [lost], 'ann', fresh.signer.publicKey, fingerprint)
  t.same(
    after.keys.map(({ key }) => key),
    [ben.signer.publicKey, fresh.signer.publicKey],
  )
  t.same(after.keys.at(-1)?.roles, ['root', 'release', 'order'])
  t.same(after.revokedLogins, [fingerprint(login)])
  t.equal(after.epoch, 2)
  t.end()
})

t.test('who is let in again is not shut out any more', (t) => {
  const entry = keyOf(ben, ['order'], { logins: [login] })
  const root = rootWith([keyOf(ann, ['root', 'release', 'order']), entry])
  const { root: without } = withoutKeys(root, ['ben'], fingerprint)
  t.same(without.revokedLogins, [fingerprint(login)])
  t.equal(withKey(without, entry, fingerprint).revokedLogins, undefined)
  t.throws(() => withoutKeys(root, ['nobody'], fingerprint), { code: 'E_KEY_UNKNOWN' })
  t.end()
})
