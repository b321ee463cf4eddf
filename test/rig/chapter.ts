import { readFileSync } from 'node:fs'

/** The commands of a chapter's first block under a heading, each with the comment that follows it. */
export function commandsOf(
  page: string,
  heading: string,
): { words: string[]; comment: string; line: string }[] {
  const text = readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8')
  const after = text.slice(text.indexOf(`## ${heading}\n`))
  const block = /```sh\n([^]*?)```/.exec(after)?.[1] ?? ''
  return block
    .split('\n')
    .filter((line) => line.startsWith('deployctl '))
    .map((line) => {
      const [command = '', comment = ''] = line.split('#')
      const words = [...command.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)]
      return { words: words.slice(1).map(([, a, b, plain]) => a ?? b ?? plain ?? ''), comment, line }
    })
}
