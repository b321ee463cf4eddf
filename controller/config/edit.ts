import { readFile, rename, writeFile } from 'node:fs/promises'
import { parseDocument } from 'yaml'
import { parseConfig } from './load.ts'

/**
 * Changes one environment's hosts in a deploy.yaml, comments and order kept; null removes the host.
 * The file is replaced at once, and only by one that is valid.
 * @throws DeployError E_CONFIG_INVALID
 */
export async function editHost(
  file: string,
  environment: string,
  name: string,
  address: string | null,
): Promise<void> {
  const document = parseDocument(await readFile(file, 'utf8'))
  const path = ['environments', environment, 'hosts', name]
  if (address === null) document.deleteIn(path)
  else document.setIn(path, address)
  const text = document.toString({ lineWidth: 0, flowCollectionPadding: true })
  parseConfig(text, file)
  await writeFile(`${file}.new`, text)
  await rename(`${file}.new`, file)
}
