// Load only the provider classes that are used: the Node half of lazy_bindings.py.
// The index of @cdktf/provider-aws requires all of its 1,500 submodules; here each waits until it is first asked for.
"use strict";

const Module = require("node:module");

const INDEX = /@cdktf[\\/]provider-aws[\\/]lib[\\/]index\.js$/;
const EAGER_EXPORT = /^exports\.(\w+) = require\(("[^"]+")\);$/gm;
const LAZY_EXPORT = 'Object.defineProperty(exports, "$1", { enumerable: true, configurable: true, get: () => require($2) });';

const compile = Module.prototype._compile;

Module.prototype._compile = function (source, filename, ...rest) {
  const lazy = INDEX.test(filename) ? source.replace(EAGER_EXPORT, LAZY_EXPORT) : source;
  return compile.call(this, lazy, filename, ...rest);
};
