import type { Flag } from '../cli/command.ts'

/** Of every command that works on a host as an administrator. */
export const adminFlags: readonly Flag[] = [
  {
    flag: '--as <user>',
    summary: 'whom to log in as on the host, to become root by sudo; your ssh settings say it else',
  },
  { flag: '-y, --yes', summary: 'do it without asking' },
  { flag: '--dry-run', summary: 'print everything that would be written and run, and stop' },
]
