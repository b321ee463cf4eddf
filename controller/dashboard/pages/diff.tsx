import type { releaseDiff } from '../../server/views/release-diff.ts'
import { useData } from '../api.ts'
import { Page, State, Table, With } from '../parts.tsx'
import { bytes } from '../words.ts'

type ReleaseDiff = ReturnType<typeof releaseDiff>
const shown = 500

export function Diff({ before, after }: { before: string; after: string }) {
  const loaded = useData<ReleaseDiff>(`/releases/${before}/diff/${after}`)
  return (
    <With of={loaded}>
      {(diff) => (
        <Page title={`${diff.before.version} → ${diff.after.version}`}>
          <p>
            {diff.before.files} files, {bytes(diff.before.bytes)} → {diff.after.files} files,{' '}
            {bytes(diff.after.bytes)}
            {diff.after.modules !== null && `; ${diff.after.modules} modules can be exchanged while it runs`}
          </p>
          <h2>Files</h2>
          <Table
            caption="Files that differ"
            heads={['File', 'Change', 'Size']}
            empty="No file differs."
            rows={diff.files.slice(0, shown).map(({ path, change, before: was, after: is }) => ({
              key: path,
              cells: [
                <code>{path}</code>,
                <State
                  of={change}
                  tone={change === 'added' ? 'good' : change === 'removed' ? 'bad' : 'warn'}
                />,
                [was, is].map((size) => (size === null ? '–' : bytes(size))).join(' → '),
              ],
            }))}
          />
          {diff.files.length > shown && <p class="quiet">… and {diff.files.length - shown} more</p>}
          <h2>Versions of the state</h2>
          <Table
            caption="Versions of the state that differ"
            heads={['Module', 'Before', 'After']}
            empty="None differs."
            rows={diff.states.map(({ path, before: was, after: is }) => ({
              key: path,
              cells: [path, was ?? '–', is ?? '–'],
            }))}
          />
          <h2>Configuration</h2>
          {diff.config.length === 0 ? (
            <p class="quiet">It is the same.</p>
          ) : (
            <pre class="diff" tabIndex={0}>
              {diff.config.map(({ sign, text }) => (
                <span
                  class={sign === '+' ? 'added' : sign === '-' ? 'removed' : ''}
                >{`${sign} ${text}\n`}</span>
              ))}
            </pre>
          )}
        </Page>
      )}
    </With>
  )
}
