import { readFile, writeFile } from 'node:fs/promises'
import { parseDocument } from '../../shared/documents/document.ts'
import { DeployError } from '../../shared/errors.ts'
import { SigningRequest, type ApprovalRequest, type RootRequest } from '../../shared/formats/request.ts'
import { parserOf } from '../../shared/schema.ts'

const parser = parserOf(SigningRequest)

/** @throws DeployError E_REQUEST_FILE, E_DOCUMENT_INVALID */
async function readRequest(file: string): Promise<SigningRequest> {
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw new DeployError('E_REQUEST_FILE', { file, why: 'it cannot be read' }, { cause })
  })
  return parseDocument(parser, bytes, `request ${file}`)
}

/** @throws DeployError E_REQUEST_FILE, E_DOCUMENT_INVALID */
export async function readApprovalRequest(file: string): Promise<ApprovalRequest> {
  const request = await readRequest(file)
  if ('approval' in request) return request
  throw new DeployError('E_REQUEST_FILE', { file, why: 'it asks for a root: `deployctl trust sign`' })
}

/** @throws DeployError E_REQUEST_FILE, E_DOCUMENT_INVALID */
export async function readRootRequest(file: string): Promise<RootRequest> {
  const request = await readRequest(file)
  if ('root' in request) return request
  throw new DeployError('E_REQUEST_FILE', { file, why: 'it asks for an approval: `deployctl approve`' })
}

export const writeRequest = (file: string, request: SigningRequest): Promise<void> =>
  writeFile(file, `${JSON.stringify(request, null, 1)}\n`)
