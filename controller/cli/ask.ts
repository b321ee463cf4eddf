import type { Asking } from '../transport/transport.ts'

/** Whether there is somebody to ask. */
export const isInteractive = (): boolean => process.stdin.isTTY && process.stderr.isTTY

/** Questions on standard error, so that standard output stays clean. Loaded only when one is asked. */
async function prompts() {
  const { confirm, password, isCancel } = await import('@clack/prompts')
  return { confirm, password, isCancel, output: process.stderr }
}

export async function askYes(message: string): Promise<boolean> {
  const { confirm, isCancel, output } = await prompts()
  const answer = await confirm({ message, initialValue: false, output })
  return !isCancel(answer) && answer
}

export async function askPassphrase(path: string): Promise<string> {
  const { password, isCancel, output } = await prompts()
  const answer = await password({ message: `Passphrase of ${path}`, output })
  return isCancel(answer) ? '' : (answer ?? '')
}

export async function askSudoPassword(host: string): Promise<string> {
  const { password, isCancel, output } = await prompts()
  const answer = await password({ message: `Your sudo password on ${host}`, output })
  return isCancel(answer) ? '' : (answer ?? '')
}

/** Hosts are asked about one after the other, even when many are connected to at once. */
export function interactiveAsking(): Asking {
  if (!isInteractive()) return {}
  let turn: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(question: () => Promise<T>): Promise<T> => {
    const next = turn.then(question)
    turn = next.catch(() => {})
    return next
  }
  return {
    trustKey: (host, type, fingerprint) =>
      inTurn(() =>
        askYes(
          `${host} is not known yet. It shows the ${type} key\n${fingerprint}\nIs that its key (ssh-keygen -lf on the host)?`,
        ),
      ),
    passphrase: (path) => inTurn(() => askPassphrase(path)),
  }
}
