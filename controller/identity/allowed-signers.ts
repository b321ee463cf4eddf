import { namespaces } from '../../shared/formats/namespaces.ts'
import type { Root, RootKey } from '../../shared/formats/root.ts'

/** For `ssh-keygen -Y verify -f`: each key with the documents it may sign, and until when. */
export function allowedSigners({ keys }: Root): string {
  return keys.map((entry) => `${entry.owner} ${optionsOf(entry)} ${entry.key}\n`).join('')
}

function optionsOf({ roles: own, notAfter }: RootKey): string {
  const signs = {
    root: [namespaces.root],
    recovery: [namespaces.root],
    release: [namespaces.release],
    order: [namespaces.order, namespaces.approval],
    schedule: [namespaces.order],
  }
  const names = [...new Set(own.flatMap((role) => signs[role]))]
  // As ssh-keygen reads it: to the second, in UTC, and no longer good at that very moment.
  const until = notAfter === undefined ? '' : `,valid-before="${notAfter.replace(/[-T:]|\..*/g, '')}Z"`
  return `namespaces="${names.join(',')}"${until}`
}
