#!/usr/bin/env node
require('./launch.cjs')(__filename, 'agent/main.ts', 'deploy-agent.js')
