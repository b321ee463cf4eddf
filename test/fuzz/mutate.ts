/** Small and fast, and the same for the same seed (xorshift32). */
export function randomFrom(seed: number): (below: number) => number {
  let state = seed | 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

const oddNumbers = ['0', '-1', '1e309', '9007199254740993', '4294967296', '2147483648', '0.1', '1e21', '-0']
const tokens = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|[[\]{}:,]|true|false|null/g

type Random = (below: number) => number
type Mutation = (bytes: Buffer, random: Random, words: readonly string[]) => Buffer

const cut = (bytes: Buffer, from: number, to: number, between: Buffer) =>
  Buffer.concat([bytes.subarray(0, from), between, bytes.subarray(to)])

/** A part of the text is replaced by a word: by whole tokens, so that it often stays JSON. */
const replaceToken: Mutation = (bytes, random, words) => {
  const text = bytes.toString('latin1')
  const found = [...text.matchAll(tokens)]
  const token = found[random(found.length || 1)]
  if (!token) return bytes
  const number = oddNumbers[random(oddNumbers.length)] ?? ''
  const other = found[random(found.length)]?.[0] ?? ''
  const replacement = [number, words[random(words.length)] ?? '', other][random(3)] ?? ''
  return cut(bytes, token.index, token.index + token[0].length, Buffer.from(replacement, 'latin1'))
}

const mutations: readonly Mutation[] = [
  (bytes, random) => {
    const copy = Buffer.from(bytes)
    const at = random(copy.length || 1)
    copy[at] = (copy[at] ?? 0) ^ (1 << random(8))
    return copy
  },
  (bytes, random) => {
    const copy = Buffer.from(bytes)
    copy[random(copy.length || 1)] = random(256)
    return copy
  },
  (bytes, random) => {
    const from = random(bytes.length + 1)
    return cut(bytes, from, Math.min(bytes.length, from + 1 + random(32)), Buffer.alloc(0))
  },
  (bytes, random) => {
    const from = random(bytes.length + 1)
    const part = bytes.subarray(from, from + 1 + random(64))
    return cut(bytes, from, from, part)
  },
  (bytes, random, words) => {
    const at = random(bytes.length + 1)
    return cut(bytes, at, at, Buffer.from(words[random(words.length)] ?? '', 'latin1'))
  },
  (bytes, random) => {
    const from = random(bytes.length + 1)
    const word = Buffer.alloc(4)
    word.writeUInt32BE([0, 1, 31, 32, 33, 64, 0x7fffffff, 0xffffffff][random(8)] ?? 0)
    return cut(bytes, from, Math.min(bytes.length, from + 4), word)
  },
  replaceToken,
  replaceToken,
  replaceToken,
]

/** One to eight changes to one input, or to the halves of two. */
export function mutate(
  corpus: readonly Buffer[],
  random: Random,
  words: readonly string[],
  maxBytes = 16 * 1024,
): Buffer {
  // The newest has led somewhere most recently.
  const pick = () =>
    corpus[random(2) ? random(corpus.length) : corpus.length - 1 - random(Math.min(8, corpus.length))]
  let bytes = pick() ?? Buffer.alloc(0)
  if (random(16) === 0) {
    const other = pick() ?? bytes
    bytes = Buffer.concat([
      bytes.subarray(0, random(bytes.length + 1)),
      other.subarray(random(other.length + 1)),
    ])
  }
  for (let times = 1 << random(4); times > 0; times--)
    bytes = (mutations[random(mutations.length)] ?? replaceToken)(bytes, random, words)
  return bytes.subarray(0, maxBytes)
}
