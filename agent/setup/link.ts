import { lstatSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs'

/** A link that always points somewhere: the new one takes the old one's place at once. */
export function link(path: string, target: string): 'done' | 'unchanged' {
  const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true
  if (isLink && readlinkSync(path) === target) return 'unchanged'
  rmSync(`${path}.new`, { force: true })
  symlinkSync(target, `${path}.new`)
  renameSync(`${path}.new`, path)
  return 'done'
}
