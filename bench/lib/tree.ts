import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

/** What a web project of today installs; near ten thousand files. */
const packages = [
  'typescript@5.9.2',
  'webpack@5.99.9',
  'react@19.1.0',
  'react-dom@19.1.0',
  'express@5.1.0',
  'eslint@9.30.0',
  'prettier@3.6.2',
  '@babel/core@7.28.0',
  'mocha@11.7.1',
  'echarts@5.6.0',
  'pdfjs-dist@5.3.31',
  'axios@1.10.0',
  'mongoose@8.16.1',
  'socket.io@4.8.1',
  'd3@7.9.0',
  'koa@3.0.0',
]
const cache = new URL('../.cache', import.meta.url).pathname

export type Tree = { dir: string; files: string[]; bytes: number }

/** A fresh copy of a real tree of packages, installed once into bench/.cache. */
export function makeTree(dir: string): Tree {
  const installed = join(cache, 'tree')
  if (!existsSync(join(installed, '.complete'))) {
    rmSync(installed, { recursive: true, force: true })
    mkdirSync(installed, { recursive: true })
    writeFileSync(
      join(installed, 'package.json'),
      '{ "name": "tree", "version": "1.0.0", "private": true }\n',
    )
    execFileSync(
      'npm',
      ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error', ...packages],
      { cwd: installed, stdio: 'inherit' },
    )
    writeFileSync(join(installed, 'bundle.js'), bundle())
    writeFileSync(join(installed, '.complete'), '')
  }
  cpSync(installed, dir, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true })
  rmSync(join(dir, '.complete'))
  const files = readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
  return { dir, files, bytes: files.reduce((sum, file) => sum + statSync(file).size, 0) }
}

/** 5 MB of JavaScript in one file, as a bundler makes it. */
function bundle(): string {
  const source = readFileSync(
    join(cache, 'tree', 'node_modules', 'typescript', 'lib', 'typescript.js'),
    'utf8',
  )
  return source.slice(0, 5_000_000)
}

let edits = 0
/** Changes one line in each of these files. */
export function edit(files: readonly string[]): void {
  edits += 1
  for (const file of files) {
    const text = readFileSync(file)
    const middle = text.indexOf(10, Math.floor(text.length / 2))
    writeFileSync(
      file,
      Buffer.concat([
        text.subarray(0, middle + 1),
        Buffer.from(`// edit ${edits}\n`),
        text.subarray(middle + 1),
      ]),
    )
  }
}
