"""Languages told by small words: sentences that the lists were not made from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revision.language import language_of, named, script
from revision.statements import plain, statements

SENTENCES = {
    "en": "Drink plenty of water and rest at home. If the pain has not gone after two days, you should see a nurse, who can look at the wound and tell you what to do.",
    "es": "Beba mucha agua y descanse en casa. Si el dolor no ha desaparecido después de dos días, debe ver a una enfermera que pueda mirar la herida y decirle lo que hay que hacer.",
    "pt": "Beba bastante água e descanse em casa. Se a dor não tiver passado depois de dois dias, você deve ver uma enfermeira que possa olhar a ferida e dizer o que é preciso fazer.",
    "fr": "Buvez beaucoup d'eau et reposez-vous à la maison. Si la douleur n'a pas disparu après deux jours, vous devez voir une infirmière qui pourra regarder la plaie et vous dire quoi faire.",
    "it": "Beva molta acqua e si riposi a casa. Se il dolore non è passato dopo due giorni, deve vedere un'infermiera che possa guardare la ferita e dirle che cosa fare.",
    "de": "Trinken Sie viel Wasser und ruhen Sie sich zu Hause aus. Wenn der Schmerz nach zwei Tagen nicht weg ist, sollten Sie eine Pflegekraft aufsuchen, die sich die Wunde ansehen kann.",
    "nl": "Drink veel water en rust thuis uit. Als de pijn na twee dagen niet weg is, moet u een verpleegkundige zien die de wond kan bekijken en u kan zeggen wat u moet doen.",
    "sv": "Drick mycket vatten och vila hemma. Om smärtan inte är borta efter två dagar ska du träffa en sköterska som kan titta på såret och säga vad du ska göra.",
    "pl": "Pij dużo wody i odpoczywaj w domu. Jeśli ból nie minie po dwóch dniach, należy zgłosić się do pielęgniarki, która obejrzy ranę i powie, co robić, bo może to być zakażenie.",
    "ro": "Beți multă apă și odihniți-vă acasă. Dacă durerea nu a trecut după două zile, mergeți la o asistentă care poate să vadă rana și să vă spună ce este de făcut.",
    "tr": "Bol su için ve evde dinlenin. Ağrı iki gün sonra geçmediyse, yaraya bakabilecek ve size ne yapmanız gerektiğini söyleyecek bir hemşireye gitmeniz gerekir, çünkü bu bir enfeksiyon olabilir.",
    "id": "Minumlah banyak air dan beristirahatlah di rumah. Jika nyeri tidak hilang setelah dua hari, anda harus menemui perawat yang dapat melihat luka itu dan memberi tahu apa yang harus dilakukan.",
    "vi": "Hãy uống nhiều nước và nghỉ ngơi ở nhà. Nếu cơn đau không hết sau hai ngày, bạn nên gặp y tá để được xem vết thương và biết cần phải làm gì.",
    "sw": "Kunywa maji mengi na upumzike nyumbani. Kama maumivu hayajaisha baada ya siku mbili, ni vizuri kumwona muuguzi ili aangalie jeraha na kukuambia la kufanya kwa usalama wa afya yako.",
    "tl": "Uminom ng maraming tubig at magpahinga sa bahay. Kung hindi nawala ang sakit sa loob ng dalawang araw, dapat kang pumunta sa nars para tingnan niya ang sugat at sabihin kung ano ang gagawin mo.",
    "ru": "Пейте много воды и отдыхайте дома. Если боль не пройдёт через два дня, вам нужно обратиться к медсестре, чтобы она посмотрела рану и сказала, что делать, так как это может быть инфекция.",
    "uk": "Пийте багато води і відпочивайте вдома. Якщо біль не мине за два дні, вам треба звернутися до медсестри, щоб вона оглянула рану та сказала, що робити, бо це може бути інфекція.",
    "bg": "Пийте много вода и почивайте вкъщи. Ако болката не мине след два дни, трябва да отидете при сестра, която може да види раната и да ви каже какво да правите с нея.",
    "ar": "اشرب الكثير من الماء واسترح في البيت. إذا لم يختف الألم بعد يومين يجب أن تذهب إلى الممرضة التي يمكن أن تنظر في الجرح وتقول ما هو العلاج.",
    "fa": "آب زیاد بنوشید و در خانه استراحت کنید. اگر درد بعد از دو روز از بین نرفت باید به پرستار مراجعه کنید تا زخم را ببیند و به شما بگوید که چه کار کنید.",
    "ur": "پانی زیادہ پئیں اور گھر میں آرام کریں۔ اگر درد دو دن کے بعد بھی نہیں جاتا تو آپ کو نرس کے پاس جانا ہے جو زخم دیکھ کر بتا سکتی ہے کہ کیا کرنا ہے۔",
    "hi": "खूब पानी पिएँ और घर पर आराम करें। अगर दो दिन के बाद भी दर्द नहीं जाता तो आप नर्स के पास जाएँ, जो घाव को देख कर बता सकती है कि क्या करना है।",
    "mr": "भरपूर पाणी प्या आणि घरी विश्रांती घ्या. जर दोन दिवसांनी वेदना गेली नाही तर तुम्ही परिचारिकेला भेटा, कारण हे संक्रमण असेल आणि ते वाढू शकते, पण काळजी करू नका.",
    "ne": "धेरै पानी पिउनुहोस् र घरमा आराम गर्नुहोस्। यदि दुई दिन पछि पनि दुखाइ छ भने तपाईं नर्सलाई भेट्नुहोस्, यो संक्रमण हुन सक्छ र यस को उपचार गर्न पर्ने हुन्छ।",
    "gl": "Beba moita auga e descanse na casa. Se a dor non desapareceu despois de dous días, debe ver unha enfermeira que poida mirar a ferida e dicirlle o que hai que facer.",
    "ca": "Begui molta aigua i descansi a casa. Si el dolor no ha desaparegut després de dos dies, ha de veure una infermera que pugui mirar la ferida i dir-li què cal fer.",
    "CJK": "多喝水，在家休息。如果两天后仍然疼痛，应当去看护士。",
    "JAPANESE": "水をたくさん飲んで、家で休んでください。二日後も痛みがあれば看護師に相談してください。",
    "HANGUL": "물을 많이 마시고 집에서 쉬세요. 이틀 후에도 아프면 간호사를 만나세요.",
}
NEIGHBOURS = {
    "Hungarian": "Igyon sok vizet és pihenjen otthon. Ha a fájdalom két nap múlva sem múlik el, forduljon nővérhez, aki megnézi a sebet és megmondja, mit kell tennie.",
    "Finnish": "Juo paljon vettä ja lepää kotona. Jos kipu ei ole hävinnyt kahden päivän kuluttua, mene sairaanhoitajan luo, joka katsoo haavaa ja kertoo, mitä pitää tehdä.",
    "Yoruba": "Mu omi pupo ki o si sinmi ni ile. Ti irora naa ko ba lo leyin ojo meji, lo si odo noosi ti yoo wo egbo naa ti yoo si so ohun ti o ye ki o se.",
}


@pytest.mark.parametrize("told", SENTENCES)
def test_a_language_with_a_list_is_told_from_its_neighbours(told):
    assert language_of(statements(SENTENCES[told])) == told


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_of_a_language_without_a_list_nothing_is_said(name):
    assert language_of(statements(NEIGHBOURS[name])) is None


@pytest.mark.parametrize("text", ["", "Rest.", "500 mg", "ibuprofen paracetamol amoxicillin " * 9])
def test_what_is_no_running_text_tells_no_language(text):
    assert language_of(statements(text)) is None


def test_names_of_medicines_do_not_make_a_chinese_text_latin():
    assert script("可以服用 acetaminophen 或 ibuprofen，不要超过剂量，每次间隔六小时") == "CJK"


def test_a_named_language_is_seen():
    assert named(plain("Please answer in Español or in French")) == {"es", "fr"}


@given(st.text())
def test_no_text_is_too_odd(text):
    script(text)
    language_of(statements(text))
