import { DeployError } from '../errors.ts'

/** Reads the SSH wire encoding (RFC 4251 section 5) and never past its end. */
export class WireReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  take(length: number): Buffer {
    if (length > this.#bytes.length - this.#at)
      throw new DeployError('E_SIGNATURE_FORMAT', { why: 'it ends too early' })
    const taken = this.#bytes.subarray(this.#at, this.#at + length)
    this.#at += length
    return taken
  }

  uint32(): number {
    return this.take(4).readUInt32BE()
  }

  byte(): number {
    return this.take(1).readUInt8()
  }

  string(): Buffer {
    return this.take(this.uint32())
  }

  text(): string {
    return this.string().toString('latin1')
  }

  /** Every structure must be read to its end: bytes that nobody looks at can carry anything. */
  end(): void {
    if (this.#at !== this.#bytes.length)
      throw new DeployError('E_SIGNATURE_FORMAT', { why: 'something follows its end' })
  }
}

export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export const wireString = (value: string | Uint8Array): Buffer => {
  const bytes = Buffer.from(value as string)
  return Buffer.concat([uint32(bytes.length), bytes])
}
