import { Strict, Type, type Static } from '../schema.ts'

export const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
export type Weekday = (typeof weekdays)[number]

const Day = Type.Union([
  Type.Literal('mon'),
  Type.Literal('tue'),
  Type.Literal('wed'),
  Type.Literal('thu'),
  Type.Literal('fri'),
  Type.Literal('sat'),
  Type.Literal('sun'),
])
const Clock = Type.String({ pattern: '^(?:[01][0-9]|2[0-3]):[0-5][0-9]$' })

/** A time of the week, on the wall of a place; one that ends before it begins goes on past midnight. */
export const TimeWindow = Strict({
  days: Type.Array(Day, {
    minItems: 1,
    maxItems: 7,
    uniqueItems: true,
  }),
  from: Clock,
  to: Clock,
  timeZone: Type.String({ pattern: '^[A-Za-z0-9_+/-]{2,64}$', maxLength: 64 }),
})
export type TimeWindow = Static<typeof TimeWindow>
