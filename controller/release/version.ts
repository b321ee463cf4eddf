import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { run } from '../process.ts'

/** What git says of a directory; null outside of a repository or before the first commit. */
export type GitFacts = { describe: string; commit: string; committedAt: string; dirty: boolean } | null

export async function gitFacts(dir: string): Promise<GitFacts> {
  const git = (...args: string[]) => run(['git', '-C', dir, ...args])
  if (!isInRepository(dir)) return null
  const [log, status] = await Promise.all([
    git('log', '-1', '--format=%H %ct %(describe:tags=true,abbrev=10)'),
    git('status', '--porcelain', '--untracked-files=normal', '--', '.', ':(exclude).deployctl'),
  ])
  const [commit = '', seconds = '', describe = ''] = log.stdout.trim().split(' ')
  if (log.status !== 0 || status.status !== 0 || !/^[0-9a-f]{40,64}$/.test(commit)) return null
  return {
    describe: describe || commit.slice(0, 10),
    commit,
    committedAt: new Date(Number(seconds) * 1000).toISOString(),
    dirty: status.stdout.trim() !== '',
  }
}

/** A program less to start where there is nothing to ask it. */
function isInRepository(dir: string): boolean {
  for (let at = dir; ; at = dirname(at)) {
    if (existsSync(join(at, '.git'))) return true
    if (dirname(at) === at) return false
  }
}

/**
 * The human name of a release. What is not exactly a commit carries the first digits of its content,
 * so that two such releases can be told apart.
 */
export function versionOf(facts: GitFacts, contentDigest: string, packageVersion: string | null): string {
  const content = contentDigest.slice(0, 8)
  if (!facts) return `${packageVersion ?? '0.0.0'}+${content}`
  return facts.dirty ? `${facts.describe}-dirty+${content}` : facts.describe
}

/** `version` of package.json, if there is a usable one. */
export async function packageVersion(dir: string): Promise<string | null> {
  try {
    const { version } = JSON.parse(await readFile(join(dir, 'package.json'), 'utf8')) as { version?: unknown }
    return typeof version === 'string' && /^[\x21-\x7e]{1,64}$/.test(version) ? version : null
  } catch {
    return null
  }
}
