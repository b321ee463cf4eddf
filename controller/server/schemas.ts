import { Name, OpId } from '../../shared/formats/names.ts'
import { Strict, Type } from '../../shared/schema.ts'

/** Query values are text; nothing is coerced, so they are digits by pattern. */
export const Count = Type.String({ pattern: '^\\d{1,6}$', maxLength: 6 })
export const inRollout = Strict({ id: OpId })
export const inSchedule = Strict({ name: Name })
export const Nothing = Strict({})

const defaultLimit = 50
const maxLimit = 1000

export const limitOf = ({ limit }: { limit?: string }): number =>
  Math.min(maxLimit, Math.max(1, Number(limit ?? defaultLimit)))
