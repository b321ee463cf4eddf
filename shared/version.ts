import manifest from '../package.json' with { type: 'json' }

/** The version of this package: that of deployctl and of deploy-agent. */
export const version: string = manifest.version
