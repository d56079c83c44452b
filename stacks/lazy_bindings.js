// Load only the provider classes that are used: the Node half of lazy_bindings.py.
// The index of the provider requires all of its 1,500 submodules; here each waits until it is first asked for. The index
// of cdktf's bindings has `exports.vpc = require("./vpc");`, that of CDK Terrain `exports.vpc = __importStar(require(...));`.
"use strict";

const Module = require("node:module");

const INDEX = /@cdkt[fn][\\/]provider-aws[\\/]lib[\\/]index\.js$/;
const EAGER_EXPORT = /^exports\.(\w+) = (require\("[^"]+"\)|__importStar\(require\("[^"]+"\)\));$/gm;
const LAZY_EXPORT = 'Object.defineProperty(exports, "$1", { enumerable: true, configurable: true, get: () => $2 });';

const compile = Module.prototype._compile;

Module.prototype._compile = function (source, filename, ...rest) {
  const lazy = INDEX.test(filename) ? source.replace(EAGER_EXPORT, LAZY_EXPORT) : source;
  return compile.call(this, lazy, filename, ...rest);
};
