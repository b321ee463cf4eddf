import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { chromium, type Browser, type Page } from 'playwright-core'
import { missingPackage } from './packages.ts'

const program = '/usr/bin/chromium'

export const noBrowser = (): false | string => missingPackage(program, 'chromium')

/** Debian's Chromium. Its own sandbox does not work as root. */
export const startBrowser = (): Promise<Browser> =>
  chromium.launch({ executablePath: program, args: ['--no-sandbox', '--disable-dev-shm-usage'] })

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

type Violation = { id: string; impact: string | null; nodes: { html: string; failureSummary?: string }[] }

/** What is not accessible on a page, by axe's rules for WCAG 2.1 AA; a line each. */
export async function inaccessible(page: Page): Promise<string[]> {
  // Through the debugger, which the page's policy does not keep out.
  await page.evaluate(axe)
  const violations = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: { run(options: object): Promise<{ violations: Violation[] }> }
    }
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']
    return (await axe.run({ runOnly: tags })).violations
  })
  return violations.map(
    ({ id, nodes }) =>
      `${id}: ${nodes.map(({ html, failureSummary = '' }) => `${html} ${failureSummary}`).join(' | ')}`,
  )
}
