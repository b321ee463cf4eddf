import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { agentPackage } from '../controller/install/agent-package.ts'
import type { Arch } from '../controller/install/node-binary.ts'
import { version } from '../shared/version.ts'

/**
 * A Debian package of the agent: what `deployctl host add` brings, for who sets up hosts by packages.
 * Usage: npm run deb -- [x64|arm64] [DIRECTORY]
 */
const [, , arch = 'x64', to = 'dist'] = process.argv
if (arch !== 'x64' && arch !== 'arm64') throw new Error(`no packages for ${arch}: x64 or arm64`)
const debian: Record<Arch, string> = { x64: 'amd64', arm64: 'arm64' }

const work = mkdtempSync(join(tmpdir(), 'deploy-agent-deb-'))
try {
  const { id, archive } = await agentPackage(arch, join(work, 'cache'))
  const root = join(work, 'root')
  const tree = join(root, 'usr/lib/deployctl/versions', id)
  mkdirSync(tree, { recursive: true })
  execFileSync('tar', ['-xzf', archive, '-C', tree, '--no-same-owner'])
  writeFileSync(join(tree, 'complete'), '')
  writeControl(join(root, 'DEBIAN'), id, arch)
  const file = `deploy-agent_${version}_${debian[arch]}.deb`
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zgzip', '--build', root, join(work, file)], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  mkdirSync(to, { recursive: true })
  moveFile(join(work, file), resolve(to, file))
  console.log(resolve(to, file))
} finally {
  rmSync(work, { recursive: true, force: true })
}

function writeControl(dir: string, id: string, arch: Arch) {
  mkdirSync(dir)
  const control = `Package: deploy-agent
Version: ${version}
Architecture: ${debian[arch]}
Maintainer: deployctl <deployctl@localhost>
Depends: systemd (>= 252), polkitd | policykit-1 (>= 0.106), openssh-server, libc6 (>= 2.28), libstdc++6, tar, gzip
Section: admin
Priority: optional
Description: agent of deployctl, which runs signed releases on this host
 It brings a Node of its own. After installing, \`deployctl host add\` makes
 the host part of a fleet, or on the host itself:
 deploy-host join --host NAME --root root.1.json --keys authorized_keys
`
  const program = `/usr/lib/deployctl/versions/${id}`
  const scripts = {
    postinst: `[ "$1" = configure ] || exit 0\n"${program}/bin/node" "${program}/dist/deploy-host.js" install ${id}`,
    // What it made by hand goes by hand; on an upgrade the new version takes over.
    prerm: `[ "$1" = remove ] || exit 0\n"${program}/bin/node" "${program}/dist/deploy-host.js" uninstall`,
  }
  writeFileSync(join(dir, 'control'), control)
  for (const [name, body] of Object.entries(scripts)) {
    writeFileSync(join(dir, name), `#!/bin/sh\nset -e\n${body}\n`)
    chmodSync(join(dir, name), 0o755)
  }
}

function moveFile(from: string, target: string) {
  if (existsSync(target)) rmSync(target)
  try {
    renameSync(from, target)
  } catch {
    // Another file system.
    cpSync(from, target)
  }
}
