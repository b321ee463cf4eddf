/** What the choice depends on; the files are those that really exist. */
export type TransportFacts = {
  wanted: 'auto' | 'ssh2' | 'system'
  hasSystemSsh: boolean
  proxyCommand: string | null
  certificateFiles: readonly string[]
  certified: readonly string[]
  hardware: readonly string[]
  plain: readonly string[]
  hasAgent: boolean
  pkcs11: boolean
  /** The host is known by a certificate authority only. */
  certifiedHostOnly: boolean
  /** Key exchanges the settings allow; empty when they do not say. */
  kex: readonly string[]
  ownKex: readonly string[]
}

export type TransportChoice = { transport: 'ssh2' | 'system'; why: string }

/** ssh2 where it can, since it is faster and counts bytes; the system's ssh for what only that can do. */
export function chooseTransport(facts: TransportFacts): TransportChoice {
  if (facts.wanted !== 'auto') return { transport: facts.wanted, why: 'deploy.yaml says so' }
  if (!facts.hasSystemSsh) return { transport: 'ssh2', why: 'there is no ssh on this machine' }
  const { kex, ownKex } = facts
  const needs = [
    facts.proxyCommand !== null && 'a ProxyCommand',
    (facts.certificateFiles.length > 0 || facts.certified.length > 0) && 'a user certificate',
    facts.hardware.length > 0 && facts.plain.length === 0 && !facts.hasAgent && 'a hardware key',
    facts.pkcs11 && 'a PKCS#11 provider',
    facts.certifiedHostOnly && 'a host certificate',
    kex.length > 0 && !kex.some((name) => ownKex.includes(name)) && 'a key exchange ssh2 does not have',
  ].filter((need) => need !== false)
  const [need] = needs
  return need === undefined
    ? { transport: 'ssh2', why: 'nothing in your ssh settings needs more' }
    : { transport: 'system', why: `your ssh settings use ${need}` }
}
