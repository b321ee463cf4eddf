#!/usr/bin/env node
require('./launch.cjs')(__filename, 'controller/cli/main.ts', 'deployctl.js')
