declare module 'parse-prometheus-text-format' {
  /** Families of metrics, each with its series. @throws Error when the text has another format */
  export default function parse(text: string): unknown
}
