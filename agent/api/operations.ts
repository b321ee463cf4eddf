import type { Readable } from 'node:stream'
import type {
  CheckUp,
  CodeReport,
  DeploymentEvent,
  FreezeRequest,
  Hello,
  HistoryEntry,
  HostFacts,
  LogLine,
  OrderRequest,
  ReceiptsAnswer,
  RootsAnswer,
  Sample,
  ServiceState,
  UploadAnswer,
} from '../../shared/wire/api.ts'

/** Who is at the other end of a connection, as the bridge said on its first line. */
export type Caller = {
  /** One SSH connection has one id: a confirm must come over another one than the order. */
  connection: string
  user: string
  auth: string | null
}

/** What the agent can be asked to do; the routes only translate. */
export type Operations = {
  /** @throws DeployError E_LOGIN_REVOKED */
  admit(caller: Caller): void
  hello(): Hello
  roots(after: number): RootsAnswer
  /** Follows newer roots. @throws DeployError as followRoot */
  follow(roots: RootsAnswer): Pick<Hello, 'root'>
  receipts(after: number): ReceiptsAnswer
  services(): Promise<ServiceState[]>
  checkUp(): Promise<CheckUp>
  service(name: string): Promise<ServiceState>
  code(service: string): Promise<CodeReport>
  /** Takes a pack whose first frame is a signed manifest; gives what is still missing. */
  offer(service: string, pack: Readable): Promise<UploadAnswer>
  /** Takes more blobs of a release offered before. */
  upload(service: string, release: string, pack: Readable): Promise<UploadAnswer>
  /** Accepts an order or throws; the deployment then goes on by itself. Gives its operation id. */
  order(request: OrderRequest, caller: Caller): string
  /** Freezes a service, or lifts that. */
  freeze(request: FreezeRequest): Promise<ServiceState>
  sample(service: string): Promise<Sample>
  facts(): HostFacts
  confirm(opId: string, caller: Caller): void
  events(opId: string, after: number, signal: AbortSignal): AsyncIterable<DeploymentEvent>
  manifest(release: string): { manifest: string; signatures: string[] }
  history(service: string, before: number, limit: number): HistoryEntry[]
  logs(service: string, lines: number, follow: boolean, signal: AbortSignal): AsyncIterable<LogLine>
}
