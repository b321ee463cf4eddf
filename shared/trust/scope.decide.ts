import type { Policy, Root, Scope } from '../formats/root.ts'

const matches = (patterns: readonly string[], name: string) =>
  patterns.some((pattern) =>
    pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name,
  )

/** Whether a scope reaches a service, on a host when one is given; without a scope everything is reached. */
export function covers(scope: Scope | undefined, service: string, host: string | null): boolean {
  if (!scope) return true
  return matches(scope.services, service) && (host === null || matches(scope.hosts, host))
}

/** What the root demands of an order for a service on a host, all its policies together. */
export function demandsOf({ policies = [], thresholds }: Root, service: string, host: string) {
  const own = policies.filter((policy: Policy) => covers(policy.scope, service, host))
  return {
    people: Math.max(thresholds.order, ...own.map(({ approvals }) => approvals ?? 1)),
    cleanCommit: own.some(({ cleanCommit }) => cleanCommit === true),
    /** Each policy that says when; an instant has to be in a window of every one. */
    windows: own.flatMap(({ windows }) => (windows ? [windows] : [])),
  }
}
