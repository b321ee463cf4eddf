#!/usr/bin/env -S node --max-semi-space-size=4
// With a small nursery the agent stays at half the memory; see bench/agent.bench.ts.
require('./launch.cjs')(__filename, 'agent/main.ts', 'deploy-agent.js')
