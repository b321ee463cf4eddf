import { styleText } from 'node:util'
import type { DeployError } from '../../shared/errors.ts'
import type { Output } from './context.ts'

const safety: Record<string, string> = {
  untouched: 'Production is untouched.',
  restored: 'Production is safe: the old release serves again.',
  'at-risk': 'Production needs you.',
  unknown: 'What runs in production is not known from here.',
}

/** Text for people, or one JSON value a line for programs; colour only where a terminal shows it. */
export function makeOutput(
  json: boolean,
  stdout: NodeJS.WriteStream = process.stdout,
  stderr: NodeJS.WriteStream = process.stderr,
): Output {
  const paint = (style: 'red' | 'dim', text: string) => styleText(style, text, { stream: stderr })
  return {
    json,
    line: (text = '') => void (json || stdout.write(`${text}\n`)),
    note: (text) => void (json || stderr.write(`${paint('dim', text)}\n`)),
    event: (value) => void (json && stdout.write(`${JSON.stringify(value)}\n`)),
    error(error: DeployError) {
      if (json) return void stdout.write(`${JSON.stringify({ type: 'error', error: error.toJSON() })}\n`)
      stderr.write(`${paint('red', error.code)}  ${error.message}\n`)
      stderr.write(`  ${safety[error.production] ?? ''}\n  Next: ${error.nextStep}\n`)
    },
  }
}
