import { useCallback, useEffect, useState } from 'preact/hooks'
import { onLive, type LiveType } from './live.ts'

export type Failure = { code: string; message: string; next: string; status: number }

/** Asks the API. @throws Failure */
export async function call<T>(path: string, method = 'GET', body?: unknown): Promise<T> {
  const response = await fetch(`/api/v1${path}`, {
    method,
    ...(body !== undefined && {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }),
  }).catch((): never => {
    throw {
      code: 'E_CONTROLLER',
      message: 'The controller does not answer.',
      next: 'Is it running?',
      status: 0,
    }
  })
  const text = await response.text()
  const value = text === '' ? {} : (JSON.parse(text) as unknown)
  if (response.ok) return value as T
  throw { ...(value as object), status: response.status } as Failure
}

export type Loaded<T> = { data: T | null; failure: Failure | null; reload: () => void }

/** What a path gives, asked again whenever something of these kinds has happened. */
export function useData<T>(path: string, on: readonly LiveType[] = []): Loaded<T> {
  const [data, setData] = useState<{ path: string; value: T } | null>(null)
  const [failure, setFailure] = useState<Failure | null>(null)
  const load = useCallback(() => {
    call<T>(path).then(
      (value) => {
        setData({ path, value })
        setFailure(null)
      },
      (error: unknown) => setFailure(error as Failure),
    )
  }, [path])
  useEffect(load, [load])
  useEffect(() => {
    let waiting: ReturnType<typeof setTimeout> | undefined
    const ends = on.map((type) =>
      onLive(type, () => {
        // Much may happen at once, and one answer tells it all.
        waiting ??= setTimeout(() => {
          waiting = undefined
          load()
        }, 150)
      }),
    )
    return () => {
      clearTimeout(waiting)
      for (const end of ends) end()
    }
  }, [load, on.join()])
  return { data: data?.path === path ? data.value : null, failure, reload: load }
}
