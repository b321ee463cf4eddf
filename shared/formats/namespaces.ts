/** SSHSIG namespaces: a signature made for one kind of document is no good for another. */
export const namespaces = {
  root: 'deployctl-root-v1',
  release: 'deployctl-release-v1',
  order: 'deployctl-order-v1',
  approval: 'deployctl-approval-v1',
  receipt: 'deployctl-receipt-v1',
} as const
export type Namespace = (typeof namespaces)[keyof typeof namespaces]
