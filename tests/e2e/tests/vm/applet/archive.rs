//! Archives and compressed files, there and back; where busybox only unpacks, what is unpacked stands here.

/// What is given to `sh -c`, in a directory with a `tmp` to write in.
pub(super) const SCRIPTS: &[&str] = &[
    "busybox gzip -c data/numbers | busybox gunzip | busybox md5sum",
    "busybox gzip -c data/numbers | busybox zcat | busybox wc",
    "busybox bzip2 -c data/numbers | busybox bunzip2 | busybox md5sum",
    "busybox bzip2 -c data/numbers | busybox bzcat | busybox wc",
    "busybox lzop -c data/numbers | busybox lzop -dc | busybox wc",
    "busybox tar -cf - data | busybox tar -tf - | busybox sort",
    "busybox find data | busybox sort | busybox cpio -o -H newc 2>/dev/null | busybox cpio -t 2>/dev/null",
    "cd tmp && echo /Td6WFoAAAFpIt42AgAhARYAAAB0L+Wj4AAiAA5dADgYSJnNXBuX0GwUQAAAAAAAlvVxmAABJiN9Rz9BkEKZDQEAAAAAAVla | busybox base64 -d >f.xz && busybox xzcat f.xz && busybox xz -dc f.xz | busybox md5sum && busybox unxz f.xz && busybox cat f && busybox rm f",
    "cd tmp && echo XQAAgAD//////////wA4GEiZzVwbl9BsfSUL///OrwAA | busybox base64 -d >f.lzma && busybox lzcat f.lzma && busybox lzma -dc f.lzma | busybox md5sum && busybox unlzma f.lzma && busybox cat f && busybox rm f",
    "cd tmp && echo UEsDBBQAAAAIAKMgQyqW9XGYDAAAACMAAAABAAAAZitITM5OTeEqwEMBAFBLAQIUAxQAAAAIAKMgQyqW9XGYDAAAACMAAAABAAAAAAAAAAAAAACAAQAAAABmUEsFBgAAAAABAAEALwAAACsAAAAAAA== | busybox base64 -d >f.zip && busybox unzip -l f.zip && busybox unzip f.zip && busybox cat f && busybox rm f f.zip",
    "cd tmp && echo H52QcMKMWVOGjIKAAwseFEjQIMKGCxMaBA== | busybox base64 -d >f.Z && busybox uncompress f.Z && busybox cat f && busybox rm f",
    "cd tmp && echo H4sIAAAAAAACA1O0SSxKzrDjys9LVUAGBhhsCGloYGBmYqKgYASXTeAy5CopzydJtzGSbiMjLi4AeWaEToYAAAA= | busybox base64 -d | busybox zcat >f.a && busybox ar t f.a && busybox ar p f.a two; busybox rm f.a",
    "cd tmp && echo H4sIAAAAAAACA1O0SSxKzrDjSklNykzM003KzEssqlRQUDBQQAADJNLQwMDMxERBwQQum8BlpGfAlZyfV1KUn6NXklikl15FWL+hhRlcv3w3BwMIMDG/PWvLxWQo0PbwSnXXnITe/xs6NG5whX0zdONNM5/Uu2C7uVZExOre98yHzc+0eN40XOhpWPHRVkual63/zL3g0va94f/n9Lev0l8iZF+QN7nvp/fH+WG3ZL7eC9u0duv3o7eOXWtdNulukOjnDD69yMnnDO13rJ9+y1Rzeu/UnENqOeuLPp2ZuffFrye5ko/qonRyshdZLz2uqVt+7rYTAwqwe8HG//H2bwYNBoaUxJJEuJeJCDVDA0tsvr5oyNXsIMB6YWVxV8yBHY1Hf0dICFxTe/X3bgTrb45J32fZ/9FcNsPd2r9W82y2jvMfj1W75nxf0/fzZt3ZrfXLpuzesdzioJX+393z+v9vqf8vBndozBm2mWUa0iCHcgEAdzq+X+gBAAA= | busybox base64 -d | busybox zcat >f.deb && busybox dpkg-deb -c f.deb && busybox dpkg-deb -f f.deb && busybox dpkg-deb -x f.deb . && busybox cat small-file; busybox rm f.deb small-file",
    "cd tmp && { printf '\\355\\253\\356\\333'; busybox head -c 92 /dev/zero; printf '\\216\\255\\350\\001\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\216\\255\\350\\001\\0\\0\\0\\0\\0\\0\\0\\003\\0\\0\\0\\010\\0\\0\\003\\350\\0\\0\\0\\006\\0\\0\\0\\0\\0\\0\\0\\001\\0\\0\\003\\351\\0\\0\\0\\006\\0\\0\\0\\002\\0\\0\\0\\001\\0\\0\\003\\352\\0\\0\\0\\006\\0\\0\\0\\004\\0\\0\\0\\001a\\0001\\0002\\0xx'; echo f >f; echo f | busybox cpio -o -H newc 2>/dev/null | busybox gzip; } >f.rpm; busybox rm f; busybox rpm -qp f.rpm; busybox rpm2cpio f.rpm | busybox cpio -i && busybox cat f; busybox rm f f.rpm",
];
