import type { Duplex, Readable, Writable } from 'node:stream'

/** A program that runs on a host. */
export type Execution = {
  stdin: Writable
  stdout: Readable
  stderr: Readable
  /** Its exit status; null when a signal or the connection ended it. */
  ended: Promise<number | null>
}

/** One authenticated SSH connection to a host. */
export type Connection = {
  /** A new channel to the subsystem `deployctl`. @throws DeployError E_SSH_SUBSYSTEM, E_CONNECTION_LOST */
  openChannel(): Promise<Duplex>
  /** A program on the host, by its user's shell; for setting it up, never for a push. */
  exec(command: string): Promise<Execution>
  close(): void
  /** Aborted once it is closed, by whomever. */
  readonly closed: AbortSignal
  /** Bytes on the wire so far, of this side's making and the other's. */
  bytes(): { sent: number; received: number }
}

/** What a connection may ask of a person; each is absent when there is nobody. */
export type Asking = {
  /** Whether to trust a host's key that was never seen; it is then remembered. */
  trustKey?: (host: string, type: string, fingerprint: string) => Promise<boolean>
  passphrase?: (path: string) => Promise<string>
}
