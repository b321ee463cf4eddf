/** One word for a POSIX shell, whatever is in it; plain ones stay as they are. */
export const shellWord = (text: string): string =>
  /^[A-Za-z0-9/._=:-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
