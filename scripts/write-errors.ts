import { writeFileSync } from 'node:fs'
import { catalogue } from '../shared/error-catalogue.ts'

/** docs/errors.md, from the catalogue: one heading a code, so that a message can be looked up. */
export function errorsPage(): string {
  const entries = Object.entries(catalogue).map(
    ([code, { exit, production, message, next }]) =>
      `## ${code}\n\n> ${message}\n\nExit code ${exit}. Production: ${production}.\n\n${next}\n`,
  )
  return `# Errors\n\nMade from \`shared/error-catalogue.ts\` by \`npm run docs\`. Words in braces are filled in when it happens.\n\n${entries.join('\n')}`
}

if (import.meta.main) writeFileSync(new URL('../docs/errors.md', import.meta.url), errorsPage())
