import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Failure, Loaded } from './api.ts'
import { ago, moment, signOf, toneOf, type Tone } from './words.ts'

/** A state in a word, a sign and a colour. */
export function State({ of, tone = toneOf(of) }: { of: string; tone?: Tone }) {
  return (
    <span class={`state ${tone}`}>
      <span aria-hidden="true">{signOf[tone]}</span> {of.replaceAll('-', ' ')}
    </span>
  )
}

/** A time as people say it; the exact one on hovering. */
export function Time({ at }: { at: string }) {
  return (
    <time dateTime={at} title={moment(at)}>
      {ago(at)}
    </time>
  )
}

/** A page's heading takes the focus, so that a keyboard and a screen reader begin there. */
export function Page({
  title,
  aside,
  children,
}: {
  title: string
  aside?: ComponentChildren
  children: ComponentChildren
}) {
  const heading = useRef<HTMLHeadingElement>(null)
  useLayoutEffect(() => {
    document.title = `${title} – deployctl`
    heading.current?.focus({ preventScroll: true })
  }, [title])
  return (
    <>
      <div class="title">
        <h1 tabIndex={-1} ref={heading}>
          {title}
        </h1>
        {aside}
      </div>
      {children}
    </>
  )
}

export function Problem({ of }: { of: Failure }) {
  return (
    <div class="problem" role="alert">
      <p>
        <strong>{of.code}</strong> {of.message}
      </p>
      <p>{of.next}</p>
    </div>
  )
}

/** What was loaded, or what is in the way of it. */
export function With<T>({ of, children }: { of: Loaded<T>; children: (data: T) => ComponentChildren }) {
  if (of.failure && of.data === null) return <Problem of={of.failure} />
  if (of.data === null) return <p class="quiet">One moment…</p>
  return (
    <>
      {of.failure && <Problem of={of.failure} />}
      {children(of.data)}
    </>
  )
}

/** A table that becomes a list of cards where there is no room. */
export function Table({
  caption,
  heads,
  rows,
  empty,
}: {
  caption: string
  heads: readonly string[]
  rows: readonly { key: string; cells: readonly ComponentChildren[] }[]
  empty: string
}) {
  if (rows.length === 0) return <p class="quiet">{empty}</p>
  return (
    <table>
      <caption class="hidden">{caption}</caption>
      <thead>
        <tr>
          {heads.map((head) => (
            <th scope="col">{head}</th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map(({ key, cells }) => (
          <tr key={key}>
            {cells.map((cell, index) => (
              <td data-head={heads[index]}>
                <div>{cell}</div>
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  )
}

/** A button that asks before it does what cannot be taken back, says that it works, and what went wrong. */
export function Act({
  children,
  does,
  asks,
  kind = '',
}: {
  children: string
  does: () => Promise<unknown>
  asks?: string
  kind?: '' | 'danger' | 'main'
}) {
  const [state, setState] = useState<'ready' | 'working' | Failure>('ready')
  const act = () => {
    if (asks !== undefined && !confirm(asks)) return
    setState('working')
    does().then(
      () => setState('ready'),
      (failure: unknown) => setState(failure as Failure),
    )
  }
  return (
    <>
      <button type="button" class={kind} disabled={state === 'working'} onClick={act}>
        {children}
      </button>
      {typeof state === 'object' && <Problem of={state} />}
    </>
  )
}
