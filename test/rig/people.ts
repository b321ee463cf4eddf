import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeDocument } from '../../shared/documents/document.ts'
import { namespaces, type Namespace } from '../../shared/formats/namespaces.ts'
import type { Role, Root, RootKey } from '../../shared/formats/root.ts'
import { generateKey } from '../../shared/sshsig/generate-key.ts'
import { keyFileSigner } from '../../shared/sshsig/key-file.ts'
import type { Signer } from '../../shared/sshsig/signer.ts'

export type Person = { name: string; signer: Signer; file: string }

/** People with keys of their own, in files that ssh-keygen reads as well. */
export async function makePeople<N extends string>(...names: N[]): Promise<Record<N, Person>> {
  const dir = mkdtempSync(join(tmpdir(), 'deployctl-people-'))
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }))
  const made = names.map(async (name): Promise<[N, Person]> => {
    const file = join(dir, name)
    const { privateKey, publicKey } = generateKey(name)
    writeFileSync(file, privateKey, { mode: 0o600 })
    writeFileSync(`${file}.pub`, `${publicKey}\n`)
    return [name, { name, signer: await keyFileSigner(file), file }]
  })
  return Object.fromEntries(await Promise.all(made)) as Record<N, Person>
}

export const keyOf = (person: Person, roles: Role[], more: Partial<RootKey> = {}): RootKey => ({
  owner: person.name,
  key: person.signer.publicKey,
  roles,
  ...more,
})

export const testFleet = 'f'.repeat(32)

export const rootWith = (keys: RootKey[], change: Partial<Root> = {}): Root => ({
  spec: 'deployctl/root/v1',
  version: 1,
  fleet: testFleet,
  epoch: 1,
  expires: '2040-01-01T00:00:00.000Z',
  keys,
  thresholds: { root: 1, release: 1, order: 1 },
  ...change,
})

/** A document's bytes, signed by these people. */
export async function signedBy(
  namespace: Namespace,
  value: unknown,
  ...people: Person[]
): Promise<{ bytes: Buffer; signatures: string[] }> {
  const bytes = encodeDocument(value)
  const signatures = await Promise.all(people.map(({ signer }) => signer.sign(namespace, bytes)))
  return { bytes, signatures }
}

export const signRoot = (root: Root, ...people: Person[]) => signedBy(namespaces.root, root, ...people)
