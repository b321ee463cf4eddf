import { DeployError } from '../errors.ts'
import type { Root } from '../formats/root.ts'
import { demandsOf } from './scope.decide.ts'
import { isOpen, windowText } from './windows.decide.ts'

/** @param now ISO instant @throws DeployError E_OUTSIDE_WINDOW */
export function checkWindows(root: Root, service: string, host: string, now: string): void {
  const { windows } = demandsOf(root, service, host)
  if (isOpen(windows, now)) return
  const told = windows.map((one) => one.map(windowText).join(' or ')).join('; and ')
  throw new DeployError('E_OUTSIDE_WINDOW', { service, host, windows: told })
}
