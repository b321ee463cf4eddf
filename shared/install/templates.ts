import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What setting up writes, as it stands in `systemd/`. */
export type Templates = {
  agentUnit: string
  controllerUnit: string
  fallbackUnit: string
  bootUnit: string
  bootScript: string
  fallbackScript: string
  bridgeScript: string
  loginScript: string
  sshd: string
  polkit: string
  socketUnit: string
  holderUnit: string
  slotUnit: string
  probeUnit: string
  sandbox: string
}

const files: Record<keyof Templates, string> = {
  agentUnit: 'deploy-agent.service',
  controllerUnit: 'deploy-controller.service',
  fallbackUnit: 'deploy-agent-fallback.service',
  bootUnit: 'deploy-boot.service',
  bootScript: 'boot.sh',
  fallbackScript: 'fall-back.sh',
  bridgeScript: 'bridge.sh',
  loginScript: 'login.sh',
  sshd: 'sshd.conf',
  polkit: 'service/polkit.rules',
  socketUnit: 'service/socket',
  holderUnit: 'service/holder.service',
  slotUnit: 'service/slot.service',
  probeUnit: 'service/probe.service',
  sandbox: 'service/sandbox',
}

/** Beside the bundle in a package, two levels up in a clone. */
function directory(): string {
  const places = ['../systemd', '../../systemd'].map((path) => join(import.meta.dirname, path))
  return places.find((path) => existsSync(join(path, 'look.sh'))) ?? places[0] ?? ''
}

export function readTemplates(): Templates {
  const dir = directory()
  const read = (file: string) => readFileSync(join(dir, file), 'utf8')
  return Object.fromEntries(Object.entries(files).map(([name, file]) => [name, read(file)])) as Templates
}

/** The script that says what a host is like. */
export const lookScript = (): string => readFileSync(join(directory(), 'look.sh'), 'utf8')
