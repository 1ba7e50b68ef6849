<?php
// SPDX-License-Identifier: GPL-2.0-only
// What Zabbix says of a template when somebody imports it, by its own readers, validators and
// parser of expressions, without a database: php zabbix_import.php FRONTEND TEMPLATE
error_reporting(E_ALL & ~E_DEPRECATED);
[, $frontend, $template] = $argv;
spl_autoload_register(function ($class) use ($frontend) {
    static $files = [];
    if (!$files) {
        $tree = new RecursiveIteratorIterator(new RecursiveDirectoryIterator("$frontend/include/classes"));
        foreach ($tree as $file) {
            $files[$file->getBasename('.php')] = $file->getPathname();
        }
    }
    if (isset($files[$class])) {
        require_once $files[$class];
    }
});
foreach (['vendor/autoload', 'include/defines.inc', 'include/func.inc', 'include/gettextwrapper.inc'] as $name) {
    require_once "$frontend/$name.php";
}

function check_expressions(array $part): void {
    foreach ($part as $key => $value) {
        if (is_array($value)) {
            check_expressions($value);
        } elseif ($key === 'expression') {
            $parser = new CExpressionParser(['usermacros' => true, 'lldmacros' => true]);
            if ($parser->parse($value) != CParser::PARSE_SUCCESS) {
                throw new Exception("no expression: $value");
            }
        }
    }
}

$data = CImportReaderFactory::getReader(CImportReaderFactory::YAML)->read(file_get_contents($template));
$validator = new CXmlValidator(new CImportValidatorFactory('yaml'), 'yaml');
check_expressions($validator->setStrict(true)->setPreview(false)->validate($data, '/'));
echo "valid\n";
