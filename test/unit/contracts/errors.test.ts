import t from 'tap'
import { catalogue } from '../../../shared/error-catalogue.ts'
import { DeployError, asDeployError } from '../../../shared/errors.ts'

t.test('an error says what happened, whether production is safe and what to do next', (t) => {
  const error = new DeployError('E_CONFIRM_TIMEOUT', { seconds: 30 })
  t.equal(error.message, 'Nobody confirmed over a fresh connection within 30 s.')
  t.equal(error.production, 'restored')
  t.equal(error.exitCode, 8)
  t.match(error.nextStep, /check what it changes/)
  t.end()
})

t.test('a fact that is missing is visible instead of the word undefined', (t) => {
  t.match(new DeployError('E_CONFIRM_TIMEOUT').message, /<seconds> s/)
  t.end()
})

t.test('an unexpected error keeps its cause', (t) => {
  const cause = new TypeError('boom')
  const error = asDeployError(cause)
  t.equal(error.code, 'E_INTERNAL')
  t.equal(error.cause, cause)
  t.equal(asDeployError(error), error)
  t.end()
})

t.test('every entry ends its sentences and has an exit code of its own kind', (t) => {
  for (const [code, entry] of Object.entries(catalogue)) {
    t.match(code, /^E_[A-Z_]+$/)
    t.ok(entry.exit >= 1 && entry.exit <= 12, `${code} exit`)
    t.match(entry.next, /[.!?]$/, `${code} has a next step`)
  }
  t.end()
})
