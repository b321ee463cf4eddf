/**
 * What the units of a service are called. A service's name has no "@", so that names of two services
 * cannot meet.
 */
export const unitNames = (service: string) => ({
  slot: (slot: string) => `deploy-${service}@${slot}.service`,
  template: `deploy-${service}@.service`,
  socket: `deploy-${service}.socket`,
  /** What keeps the socket unit from starting a slot by itself. */
  holder: `deploy-${service}-holder.service`,
  probe: (number: number) => `deploy-${service}-probe@${number}.service`,
  probeTemplate: `deploy-${service}-probe@.service`,
})
